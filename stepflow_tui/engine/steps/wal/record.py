"""The backup is opened as a restored file would be, and what was there before is written down."""

from __future__ import annotations

from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.sqlite.content import content_of
from stepflow_tui.engine.sqlite.convert import read_mode
from stepflow_tui.engine.sqlite.restore_test import findings_of, refuse_damaged, restore_test
from stepflow_tui.engine.steps.backup import backup_of
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import frozen_of
from stepflow_tui.engine.steps.wal.facts import Recorded, save_record, source_of


class RestoreTest(PlainStep):
    """Proves that the backup can be restored, and the source sound: `integrity_check` and foreign keys, on the backup."""

    name = "restore-test"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Check it whole, in a child process.

        Raises:
            Refused: the source is damaged.
        """
        frozen = await frozen_of(ctx)
        test = await restore_test(frozen.path, control=ctx.control)
        refuse_damaged(test, source_of(ctx))
        row = await ctx.journal.backup()
        assert row is not None
        await ctx.journal.save_backup(row["path"], row["bytes"], row["sha256"], verified=True, test=to_plain(test))
        await ctx.journal.set_findings("restore-test", findings_of(test))
        return {"integrity_check": "ok", "foreign_keys_broken": len(test.foreign_keys)}


class RecordState(PlainStep):
    """Journal mode, counts and digests as they are before anything is changed."""

    name = "record-state"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Read every value of the backup."""
        frozen, backup = await frozen_of(ctx), await backup_of(ctx)
        mode = await read_mode(source_of(ctx))
        content = await content_of(frozen.path, frozen=True, control=ctx.control, report=ctx.report)
        counter = backup.source.change_counter if backup is not None else mode.change_counter
        await save_record(ctx, Recorded(mode=mode, content=content, change_counter=counter))
        rows = sum(t.rows for t in content.tables.values())
        return {"mode": mode.mode, "tables": len(content.tables), "rows": rows, "schema": content.schema_digest}

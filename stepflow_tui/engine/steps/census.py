"""Census and restore test, side by side on the backup: neither disturbs the application."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stepflow_tui.engine.model import census as model
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.restore_test import RestoreTest, findings_of, refuse_damaged, restore_test
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import frozen_of, target_of
from stepflow_tui.engine.steps.masking import mask_of, masked_test
from stepflow_tui.engine.steps.planning import census_of
from stepflow_tui.engine.steps.preflight import Seen, target_view


class Census(PlainStep):
    """Reads every value of the backup; proves by the way that it can be restored."""

    name = "census"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Count, and check.

        Raises:
            Refused: the source is damaged.
        """
        frozen = await frozen_of(ctx)
        seen = ctx.memory.find(Seen)
        view = (
            seen.view
            if seen is not None
            else await target_view(ctx.config, await target_of(ctx), frozenset({ctx.run_id}))
        )
        testing = asyncio.create_task(restore_test(frozen.path, control=ctx.control))
        try:
            census = await census_of(
                frozen.path,
                frozen.schema,
                ctx.config,
                view,
                frozen=True,
                mask=await mask_of(ctx),
                control=ctx.control,
                report=ctx.report,
            )
            test = masked_test(await testing, frozen.schema, await mask_of(ctx))
        finally:
            testing.cancel()
            await asyncio.gather(testing, return_exceptions=True)
        refuse_damaged(test, real_path(ctx.config.source.path))
        await _record(ctx, frozen.path, test, census)
        ctx.memory.put(census)
        rows = sum(f.rows for f in census.facts.values())
        return {
            "tables": len(census.facts),
            "rows": rows,
            "findings": len(census.findings),
            "foreign_keys_broken": len(test.foreign_keys),
        }


async def _record(ctx: RunContext, path: Path, test: RestoreTest, census: model.Census) -> None:
    row = await ctx.journal.backup()
    assert row is not None
    await ctx.journal.save_backup(str(path), row["bytes"], row["sha256"], verified=True, test=to_plain(test))
    await ctx.journal.set_findings("census", [*census.findings, *findings_of(test)])

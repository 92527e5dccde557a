"""Page size and auto_vacuum, which SQLite changes by VACUUM, and never in WAL mode: before the conversion or not at all."""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.finding import warning
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.sqlite.content import content_of
from stepflow_tui.engine.sqlite.convert import ModeFacts, read_mode, set_layout
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.wal.facts import Recorded, converts, recorded, save_record, source_of


class Layout(PlainStep):
    """Rewrites the file with other pages. SQLite may give new rowids to tables without an INTEGER PRIMARY KEY."""

    name = "layout"
    danger = Danger.TYPED
    loses = "nothing; page size and auto_vacuum stay as they are now"

    async def probe(self, ctx: RunContext) -> Evidence | None:
        """The file says whether it has them."""
        return {"found_done": True} if self._fits(ctx, await read_mode(source_of(ctx))) else None

    async def apply(self, ctx: RunContext) -> Evidence:
        """Change them, and compare every table with what it was.

        Raises:
            Held: others use the file. It is as it was.
            StepFailed: `layout_differs`.
        """
        now = await read_mode(source_of(ctx))
        if not await converts(ctx) or self._fits(ctx, now):
            return {"changed": False}
        wal = ctx.config.wal
        await set_layout(
            source_of(ctx), page_size=wal.page_size, auto_vacuum=wal.auto_vacuum, wait=wal.max_wait, control=ctx.control
        )
        failpoint("wal_layout_set")
        renumbered = await self._compare(ctx)
        await ctx.journal.set_findings("layout", [warning("wal_rowids_renumbered", t, table=t) for t in renumbered])
        return {"changed": True, "renumbered": renumbered}

    def _fits(self, ctx: RunContext, mode: ModeFacts) -> bool:
        wal = ctx.config.wal
        return wal.page_size in (None, mode.page_size) and wal.auto_vacuum in (None, mode.auto_vacuum)

    async def _compare(self, ctx: RunContext) -> list[str]:
        """Tables whose rows have other rowids now; what is there from now on is what the conversion is compared with."""
        record, mode = await recorded(ctx), await read_mode(source_of(ctx))
        now = await content_of(source_of(ctx), frozen=False, control=ctx.control, report=ctx.report)
        changed = now.differences(record.content)
        written = mode.change_counter > record.change_counter + 1
        lost = [t for t in changed if not written and _rows(record, t) != now.tables[t].rows]
        if lost:
            raise StepFailed(
                "Tables have another number of rows after VACUUM.",
                detail=", ".join(lost),
                hint="`stepflow rollback --restore` puts the tested backup back.",
                code="layout_differs",
            )
        await save_record(ctx, replace(record, content=now, mode=mode, change_counter=mode.change_counter))
        return list(changed) if not written else []


def _rows(record: Recorded, table: str) -> int | None:
    known = record.content.tables.get(table)
    return known.rows if known is not None else None

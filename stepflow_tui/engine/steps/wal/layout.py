"""Page size and auto_vacuum, which SQLite changes by VACUUM, and never in WAL mode: before the conversion or not at all."""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.errors import Refused, StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.sqlite.content import content_of
from stepflow_tui.engine.sqlite.convert import ModeFacts, read_mode, set_layout
from stepflow_tui.engine.sqlite.holders import find_holders
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.wal.back import go_back, restores
from stepflow_tui.engine.steps.wal.facts import converts, recorded, refuse_replaced, save_record, source_of

BYTES_PER_SECOND = 10 << 20
"""What VACUUM is assumed to rewrite on a slow, busy machine: 12 MB/s was measured on one."""


class Layout(PlainStep):
    """Rewrites the file with other pages; refused where VACUUM would give rows new rowids."""

    name = "layout"
    danger = Danger.TYPED
    loses = "nothing; page size and auto_vacuum stay as they are now"

    async def probe(self, ctx: RunContext) -> Evidence | None:
        """Done is done only once it was compared."""
        return None

    async def apply(self, ctx: RunContext) -> Evidence:
        """Change them, and compare every table with what it was.

        Raises:
            Held: others use the file. It is as it was.
            StepFailed: `layout_differs`.
        """
        now = await read_mode(source_of(ctx))
        if not await converts(ctx) or self._fits(ctx, (await recorded(ctx)).mode):
            return {"changed": False}
        await refuse_replaced(ctx, now)
        wal = ctx.config.wal
        if not self._fits(ctx, now):  # an engine that was killed may have set it already
            await self._refuse_stall(ctx)
            await set_layout(
                source_of(ctx),
                page_size=wal.page_size,
                auto_vacuum=wal.auto_vacuum,
                wait=wal.max_wait,
                control=ctx.control,
                identity=(now.dev, now.inode),
            )
        failpoint("wal_layout_set")
        await self._compare(ctx)
        return {"changed": True}

    async def _refuse_stall(self, ctx: RunContext) -> None:
        """VACUUM rewrites the file, and keeps everybody out as long."""
        source = source_of(ctx)
        users = await find_holders(source)
        seconds = source.stat().st_size / BYTES_PER_SECOND
        allowed = ctx.config.source.allow_stall
        if users.processes and seconds > allowed:
            raise Refused(
                f"Rewriting {source} with other pages would keep its users out too long.",
                detail=f"about {seconds:.0f} s, allowed are {allowed:.0f} s (source.allow_stall); {users.text}",
                hint="Take `mode: offline`, raise source.allow_stall, or leave wal.page_size and wal.auto_vacuum out.",
                code="layout_would_stall",
            )

    async def undo(self, ctx: RunContext) -> Evidence:
        """Pages stay as they are, unless the backup is put back and the conversion was never begun."""
        if await restores(ctx):
            return await go_back(ctx)
        return {"layout": "kept"}

    def _fits(self, ctx: RunContext, mode: ModeFacts) -> bool:
        wal = ctx.config.wal
        return wal.page_size in (None, mode.page_size) and wal.auto_vacuum in (None, mode.auto_vacuum)

    async def _compare(self, ctx: RunContext) -> None:
        """What is there from now on is what the conversion is compared with."""
        record, mode = await recorded(ctx), await read_mode(source_of(ctx))
        now = await content_of(source_of(ctx), frozen=False, control=ctx.control, report=ctx.report)
        changed = now.differences(record.content)
        if changed and mode.change_counter <= record.change_counter + 1:  # nobody else wrote
            raise StepFailed(
                "Tables are not what they were before VACUUM.",
                detail=", ".join(changed),
                hint="`stepflow rollback --restore` puts the tested backup back.",
                code="layout_differs",
            )
        await save_record(ctx, replace(record, content=now, mode=mode, change_counter=mode.change_counter))

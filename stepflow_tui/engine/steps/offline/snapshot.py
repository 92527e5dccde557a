"""The snapshot under the lock: what is copied, and what the source is held against until the switch."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.postgres import changelog, control, ledger
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext, Step
from stepflow_tui.engine.steps.facts import Frozen, connection, frozen_at, plan_of
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS
from stepflow_tui.engine.steps.live.returning import returned_tables
from stepflow_tui.engine.steps.live.snapshot import drop_snapshot, hold_plan, take_snapshot
from stepflow_tui.engine.steps.offline.lock import unchanged

PHASE = "backfill"


class LockedSnapshot(PlainStep):
    """Nobody writes while it is made. One that was made of the very same content is used again.

    Args:
        later: the steps of the phase behind this one: where the source has changed, what they made is taken back first.
    """

    name = "snapshot"

    def __init__(self, later: Sequence[Step]) -> None:
        self.later = later

    async def apply(self, ctx: RunContext) -> Evidence:
        """Make it, and hold the plan against it.

        Raises:
            Drift: a value that came since the census breaks a type of the approved plan.
        """
        if not await unchanged(ctx):
            await self._from_zero(ctx)
        ctx.memory.drop(Frozen)
        path, made = await take_snapshot(ctx, stalls=False)
        frozen = await frozen_at(path)
        await hold_plan(ctx, frozen)
        ctx.memory.put(frozen)
        # capture comes with the hand-over: its log is empty then
        return {"path": str(path), "bytes": made.bytes, "position": 0, "seconds": round(made.seconds, 3)}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Delete it."""
        ctx.memory.drop(Frozen)
        return await drop_snapshot(ctx)

    async def _from_zero(self, ctx: RunContext) -> None:
        """What was copied is of another state of the file: none of it is kept."""
        rows = {step: await ctx.journal.step_row(f"{PHASE}.{step.name}") for step in self.later}
        if not any(row["attempt"] for row in rows.values()):
            await drop_snapshot(ctx)
            return
        await ctx.journal.event("offline_from_zero", {}, level=Level.WARNING)
        async with connection(ctx) as conn:
            if await conn.fetchval("select to_regclass('_stepflow.gate') is not null"):
                await changelog.remove_changelog(conn, await returned_tables(ctx), wait=GATE_SECONDS)
        for step in reversed(self.later):
            if rows[step]["attempt"] > 0:
                await step.undo(ctx)
        await _forget(ctx)
        await drop_snapshot(ctx)


async def _forget(ctx: RunContext) -> None:
    """What was known about the rows of before: rejects, digests, differences."""
    async with connection(ctx) as conn:
        there = await control.installed(conn)
        for table in (t for t in (await plan_of(ctx)).tables if t.impossible is None):
            if there:
                await ledger.drop_table(conn, ctx.run_id, table.source)
            await ctx.journal.set_rejects(table.source, [])
            await ctx.journal.save_discrepancies(table.source, [])
    await ctx.journal.mark_source_changed(False)

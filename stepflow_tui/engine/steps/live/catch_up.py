"""Catches up with everything written since the snapshot, and leaves the tail running."""

from __future__ import annotations

from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.live.gate import close_target
from stepflow_tui.engine.steps.live.tailing import keep_tailing, tail_of, undisturbed


class CatchUp(PlainStep):
    """Step by step until the target equals a snapshot of the source; from then on a service keeps it so."""

    name = "catch-up"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Apply the backlog. The target refuses everybody else's writes from here on."""
        await close_target(ctx)
        done = await undisturbed(ctx, lambda: self._catch_up(ctx))
        await keep_tailing(ctx)
        return done

    async def _catch_up(self, ctx: RunContext) -> Evidence:
        tail = await tail_of(ctx)
        changes, rows = 0, 0
        while True:
            await ctx.control.checkpoint()
            tick = await tail.step()
            changes, rows = changes + tick.changes, rows + tick.rows
            left = max(0, tick.log_max - tick.applied)
            ctx.report(Progress(step=self.name, done=changes, total=changes + left, unit="changes"))
            if tick.whole:
                return {"changes": changes, "rows": rows, "applied": tick.applied}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Stop applying changes; they stay in the log."""
        await ctx.services.stop()
        return {"tail": "stopped"}

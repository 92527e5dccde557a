"""How long the application will stand still, said before it is stopped."""

from __future__ import annotations

from stepflow_tui.engine.checks.offline_window import predicted_seconds, window_findings
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import plan_of
from stepflow_tui.engine.steps.offline.window import GAUGE

STAGE = "window"
AGAIN = ("prepare.backup", "prepare.census")
"""Done once more under the lock: on the snapshot they take as long as they took on the backup."""


class PredictWindow(PlainStep):
    """The plan's estimate, and what this machine took for the parts that were done already."""

    name = "predict-window"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Predict."""
        plan = await plan_of(ctx)
        rows = [await ctx.journal.step_row(step) for step in AGAIN]
        measured = sum((r["ended_ms"] - r["started_ms"]) / 1000 for r in rows if r["ended_ms"] and r["started_ms"])
        low, high = predicted_seconds(plan, measured)
        allowed = ctx.config.cutover.window
        ctx.journal.gauge(GAUGE, {"predicted_seconds": high, "predicted_low_seconds": low, "seconds": allowed})
        await ctx.journal.set_findings(STAGE, window_findings(plan, ctx.config, measured))
        return {"low_seconds": low, "high_seconds": high, "window_seconds": allowed}

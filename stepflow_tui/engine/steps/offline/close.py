"""The target takes nobody else's writes from before the first row until the switch."""

from __future__ import annotations

from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.live.gate import close_target


class CloseTarget(PlainStep):
    """What is in the tables is what was copied there. The gate goes with the tables, or with the control schema."""

    name = "close-target"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Put the closed gate on the tables."""
        await close_target(ctx)
        return {"writes": "closed"}

"""Next values of the target's identity columns. The source is locked: what it says now, it says at the switch."""

from __future__ import annotations

from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection
from stepflow_tui.engine.steps.live.sequences import set_sequences


class SetSequences(PlainStep):
    """Beyond every key, and beyond what AUTOINCREMENT gave out."""

    name = "sequences"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Set them; repeating it changes nothing."""
        async with connection(ctx) as conn:
            return {"sequences": await set_sequences(ctx, conn)}

"""Moves reads to the new side."""

from __future__ import annotations

from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext


class SwitchReads(PlainStep):
    """Reads move by the configured strategy."""

    name = "switch-reads"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Move them."""
        await keep_switching(ctx)
        return {}


async def keep_switching(ctx: RunContext) -> None:
    """Keep the switch."""

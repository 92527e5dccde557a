"""Is the source in rollback-journal mode? Capture works there too, at a price."""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, info


async def run(ctx: CheckContext) -> list[Finding]:
    """A reader and a writer keep each other out there, so every short read of the tail can make a writer wait."""
    if ctx.examined.wal:
        return []
    return [info("live_rollback_journal", ctx.source_text, mode=ctx.examined.journal_mode or "delete")]

"""Did a crash leave a journal behind?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, warning
from stepflow_tui.engine.sqlite.examine import SourceState


async def run(ctx: CheckContext) -> list[Finding]:
    """A hot journal is told, since the rows of the interrupted transaction will not be in the target."""
    if ctx.examined.state is not SourceState.HOT_JOURNAL:
        return []
    return [
        warning("source_hot_journal", ctx.source_text, path=ctx.source_text, journal_bytes=ctx.examined.journal_bytes)
    ]

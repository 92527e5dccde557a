"""Did a crash leave a journal behind?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.sqlite.examine import SourceState


async def run(ctx: CheckContext) -> list[Finding]:
    """A hot journal is told, since the rows of the interrupted transaction will not be in the target.

    A conversion in place would roll it back by opening the file, before a backup of what stands there could be tested: the
    application has to do that first.
    """
    if ctx.examined.state is not SourceState.HOT_JOURNAL:
        return []
    tell, code = (blocking, "wal_hot_journal") if ctx.config.in_place else (warning, "source_hot_journal")
    return [tell(code, ctx.source_text, path=ctx.source_text, journal_bytes=ctx.examined.journal_bytes)]

"""In which encoding does the source store text?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, info


async def run(ctx: CheckContext) -> list[Finding]:
    """UTF-16 is told: lone surrogates are possible there, and such values go the slow way."""
    assert ctx.schema is not None
    return [info("source_utf16", ctx.source_text, encoding=ctx.schema.encoding)] if ctx.schema.utf16 else []

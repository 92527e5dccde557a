"""Who has the source open?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.finding import Finding, info, warning


async def run(ctx: CheckContext) -> list[Finding]:
    """In `mode: copy` nobody may write meanwhile, so open files are a warning; elsewhere they are expected."""
    holders = ctx.holders
    if not holders.known:
        return [info("source_holders_unknown", ctx.source_text)]
    found = []
    if holders.processes:
        tell, code = (warning, "source_held") if ctx.config.mode is Mode.COPY else (info, "source_in_use")
        found.append(tell(code, ctx.source_text, holders=holders.text, count=len(holders.processes)))
    if not holders.complete:
        found.append(info("source_holders_incomplete", ctx.source_text))
    return found

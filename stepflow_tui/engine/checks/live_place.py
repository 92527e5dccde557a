"""Do locks and side files hold where the source lies? Reading may get by without them, writing may not."""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking


async def run(ctx: CheckContext) -> list[Finding]:
    """A file of two names has two journals, and network file systems promise locks that they don't keep."""
    examined = ctx.examined
    found = []
    if examined.links > 1 or examined.file_mount:
        found.append(blocking("live_source_names", ctx.source_text, links=examined.links))
    if examined.filesystem.network:
        found.append(blocking("live_source_network", ctx.source_text, filesystem=examined.filesystem.kind))
    return found

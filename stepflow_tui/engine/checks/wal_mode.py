"""Is there anything to convert?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, info


async def run(ctx: CheckContext) -> list[Finding]:
    """A database in WAL mode is left as it is; what remains is tuning and watching it."""
    return [info("wal_already", ctx.source_text, path=ctx.source_text)] if ctx.examined.wal else []

"""Does the application wait for a lock as long as the cutover may hold one?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.finding import Finding, info, warning


async def run(ctx: CheckContext) -> list[Finding]:
    """Known only where the config or `SQLITE_BUSY_TIMEOUT` says it. In a live run writes wait for the freeze's length."""
    waits, config = ctx.config.source.busy_timeout, ctx.config
    if waits is None:
        return []
    freeze = config.cutover.max_freeze
    params = {
        "milliseconds": round(waits * 1000),
        "freeze": round(freeze * 1000),
        "advised": round(freeze * 1000) + 1000,
    }
    if config.mode is Mode.LIVE and waits <= freeze:
        return [warning("busy_timeout_short", ctx.source_text, **params)]
    return [info("busy_timeout_known", ctx.source_text, **params)]

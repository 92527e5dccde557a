"""Would the backup keep an application's writers waiting too long?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.sqlite.backup import estimate_seconds


def stalls(ctx: CheckContext) -> bool:
    """Whether somebody would wait: a reader blocks writers in rollback-journal mode only."""
    return not ctx.examined.wal and bool(ctx.holders.processes)


async def run(ctx: CheckContext) -> list[Finding]:
    """Refused beforehand when the size says so; the backup itself looks at the clock again."""
    needed = estimate_seconds(ctx.examined)
    if not stalls(ctx) or needed <= ctx.config.source.allow_stall:
        return []
    code = "wal_backup_stalls" if ctx.config.in_place else "backup_would_stall"
    return [blocking(code, ctx.source_text, seconds=round(needed), allowed_seconds=round(ctx.config.source.allow_stall),
                     holders=ctx.holders.text)]  # fmt: skip

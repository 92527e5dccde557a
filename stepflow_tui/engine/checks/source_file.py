"""Is the source there, and a database that can be read?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.sqlite.examine import SourceState


async def run(ctx: CheckContext) -> list[Finding]:
    """One blocking finding per state that can't be read; an empty file is nothing to migrate."""
    examined = ctx.examined
    if examined.state is SourceState.EMPTY:
        return [warning("source_empty", ctx.source_text, path=ctx.source_text)]
    if not examined.readable:
        return [_unreadable(ctx)]
    if ctx.problem is not None:
        return [blocking("source_not_readable_now", ctx.source_text, path=ctx.source_text, message=ctx.problem.message,
                         detail=ctx.problem.detail, hint=ctx.problem.hint)]  # fmt: skip
    return []


def _unreadable(ctx: CheckContext) -> Finding:
    examined = ctx.examined
    return blocking(
        f"source_{examined.state.value}",
        ctx.source_text,
        path=ctx.source_text,
        detail=examined.detail or "no further detail",
        holders=ctx.holders.text or "a process that could not be found",
        wal_bytes=examined.wal_bytes,
    )

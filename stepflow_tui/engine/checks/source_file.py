"""Is the source there, and a database that can be read?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.sqlite.examine import Examined, SourceState
from stepflow_tui.engine.sqlite.holders import Holders


async def run(ctx: CheckContext) -> list[Finding]:
    """One blocking finding per state that can't be read; an empty file is nothing to migrate."""
    examined = ctx.examined
    if examined.state is SourceState.EMPTY:
        return [warning("source_empty", ctx.source_text, path=ctx.source_text)]
    if not examined.readable:
        return [unreadable(examined, ctx.holders, ctx.source_text)]
    if ctx.problem is not None:
        return [blocking("source_not_readable_now", ctx.source_text, path=ctx.source_text, message=ctx.problem.message,
                         detail=ctx.problem.detail, hint=ctx.problem.hint)]  # fmt: skip
    return []


def unreadable(examined: Examined, holders: Holders, named: str) -> Finding:
    """Why a source's rows can't be read."""
    return blocking(
        f"source_{examined.state.value}",
        named,
        path=named,
        detail=examined.detail or "no further detail",
        holders=holders.text or "a process that could not be found",
        wal_bytes=examined.wal_bytes,
    )

"""Does the source live where SQLite's locks and shared memory work?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, info, warning


async def run(ctx: CheckContext) -> list[Finding]:
    """A live `-wal` can't be read over a network; a rollback-journal file can, with locks that may not hold; neither can be
    converted there."""
    where = ctx.examined.filesystem
    if not where.known:
        return [info("source_filesystem_unknown", ctx.source_text)]
    if not where.network:
        return []
    if ctx.config.in_place:
        return [blocking("wal_on_network", ctx.source_text, filesystem=where.kind, mount_point=where.mount_point)]
    if ctx.examined.wal:
        return [
            blocking("source_wal_on_network", ctx.source_text, filesystem=where.kind, mount_point=where.mount_point)
        ]
    return [warning("source_on_network", ctx.source_text, filesystem=where.kind, mount_point=where.mount_point)]

"""Is part of the data still in `-wal`, and can the file be read with its locks?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, info, warning


async def run(ctx: CheckContext) -> list[Finding]:
    """A live `-wal` is read with the file; a WAL file in a read-only folder is read without locks."""
    found = []
    if ctx.examined.live_wal:
        found.append(info("source_live_wal", ctx.source_text, path=ctx.source_text, wal_bytes=ctx.examined.wal_bytes))
    if ctx.examined.immutable and ctx.examined.folder_read_only:
        found.append(warning("source_read_without_locks", ctx.source_text, path=ctx.source_text))
    return found

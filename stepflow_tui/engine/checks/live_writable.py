"""May we write to the source? Change capture, fence and way back live in it."""

from __future__ import annotations

import os

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.sqlite.connect import shown


async def run(ctx: CheckContext) -> list[Finding]:
    """File and folder: SQLite makes its journal, or `-wal` and `-shm`, beside the file."""
    real = ctx.examined.real
    effective = os.access in os.supports_effective_ids
    closed = [p for p in (real, real.parent) if not os.access(p, os.W_OK, effective_ids=effective)]
    if not closed and not ctx.examined.filesystem.read_only:
        return []
    return [blocking("live_source_read_only", ctx.source_text, paths=", ".join(map(shown, closed or [real])))]

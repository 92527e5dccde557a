"""Has the SQLite library the WAL-reset bug?"""

from __future__ import annotations

import sqlite3

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config import MigrationKind, Mode
from stepflow_tui.engine.model.finding import Finding, info, warning
from stepflow_tui.engine.model.versions import has_wal_reset_bug

__all__ = ["has_wal_reset_bug", "run"]


async def run(ctx: CheckContext) -> list[Finding]:
    """Info where StepFlow only reads; a warning where it, or the application beside it, writes in WAL mode."""
    if not has_wal_reset_bug(sqlite3.sqlite_version_info[:3]):
        return []
    writes = ctx.config.kind is MigrationKind.SQLITE_WAL or ctx.config.mode is Mode.LIVE
    return [(warning if writes else info)("sqlite_wal_reset", None, version=sqlite3.sqlite_version)]

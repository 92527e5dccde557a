"""Has the SQLite library the WAL-reset bug?"""

from __future__ import annotations

import sqlite3

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config import MigrationKind, Mode
from stepflow_tui.engine.model.finding import Finding, info, warning

Version = tuple[int, int, int]

_BACKPORTS: tuple[Version, ...] = ((3, 44, 6), (3, 50, 7))
"""Releases of older branches that carry the fix."""


def has_wal_reset_bug(version: Version) -> bool:
    """3.7.0 to 3.51.2, without the releases that got the fix later (their branch from there on)."""
    if any(version[:2] == fixed[:2] and version >= fixed for fixed in _BACKPORTS):
        return False
    return (3, 7, 0) <= version <= (3, 51, 2)


async def run(ctx: CheckContext) -> list[Finding]:
    """Info where StepFlow only reads; a warning where it, or the application beside it, writes in WAL mode."""
    if not has_wal_reset_bug(sqlite3.sqlite_version_info[:3]):
        return []
    writes = ctx.config.kind is MigrationKind.SQLITE_WAL or ctx.config.mode is Mode.LIVE
    return [(warning if writes else info)("sqlite_wal_reset", None, version=sqlite3.sqlite_version)]

"""Which libraries do the work here? A conversion needs no driver but SQLite itself."""

from __future__ import annotations

import platform
import sqlite3

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.checks.system_libraries import MINIMUM
from stepflow_tui.engine.model.finding import Finding, blocking, info


async def run(ctx: CheckContext) -> list[Finding]:
    """The versions as info; a SQLite that is too old stops the run."""
    found = [info("wal_libraries", None, python=platform.python_version(), sqlite=sqlite3.sqlite_version)]
    if sqlite3.sqlite_version_info < MINIMUM:
        found.insert(0, blocking("sqlite_too_old", None, version=sqlite3.sqlite_version, minimum="3.31.0"))
    return found

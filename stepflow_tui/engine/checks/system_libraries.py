"""Which libraries do the work? Printed, and recorded in the report."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, info
from stepflow_tui.engine.sqlite.child import run_child

MINIMUM = (3, 31, 0)
"""trusted_schema came with it."""


async def run(ctx: CheckContext) -> list[Finding]:
    """The versions as info; a SQLite that is too old, or a missing driver, stops the run."""
    found: list[Finding] = []
    if sqlite3.sqlite_version_info < MINIMUM:
        found.append(blocking("sqlite_too_old", None, version=sqlite3.sqlite_version, minimum="3.31.0"))
    drivers = {name: _version(name) for name in ("adbc-driver-sqlite", "adbc-driver-postgresql", "asyncpg")}
    found += [blocking("driver_missing", name, driver=name) for name, number in drivers.items() if number is None]
    carried = (
        None if drivers["adbc-driver-sqlite"] is None else await run_child("stepflow_tui.engine.bulk.library_child", {})
    )
    return [
        *found,
        info(
            "library_versions",
            None,
            python=platform.python_version(),
            sqlite=sqlite3.sqlite_version,
            adbc=drivers["adbc-driver-sqlite"],
            adbc_sqlite=carried,
            asyncpg=drivers["asyncpg"],
        ),
    ]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

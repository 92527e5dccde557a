"""The child process that gives a database its planner's statistics and moves `-wal` into the file, beside a living application.

Every table is analysed in a write transaction of its own, bounded in rows and in time, so that writers get their turn in
between. One checkpoint, and one only: two in a row are what the WAL-reset bug needs.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import Held, Refused
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.applying import begin, commit, open_applying, rollback
from stepflow_tui.engine.sqlite.capture_state import as_text, captured
from stepflow_tui.engine.sqlite.connect import set_pragma, shown, side_file
from stepflow_tui.engine.sqlite.holders import scan
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.quiet import nobody_commits
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

LOCKED, SLOW = "locked", "slow"
"""Why a table was left out; any other reason is SQLite's own words."""

_STEPS = 10_000
"""Of SQLite's machine between two looks at the clock."""
_TABLES = (
    "select name from sqlite_schema where type='table' and name not like 'sqlite\\_%' escape '\\' "
    "and sql not like 'create virtual %' order by name"
)
_ALL_TABLES = 0x10002
"""`PRAGMA optimize`: also of tables that this connection has not read, and do it."""


def handle(request: dict[str, Any], _emit: Emit) -> Any:
    """Analyse, then checkpoint.

    Args:
        request: path; limit: rows of an index that are looked at, 0: all; wait: seconds for one lock; hold: seconds that one
            table may take.

    Returns:
        analyzed[…] left_out[{table reason}] optimized statistics checkpoint.

    Raises:
        Refused: `postgres_owns_writes`, `source_captured`; as `sqlite_errors` maps.
    """
    path = text_path(request["path"])
    with sqlite_errors(f"Optimizing {shown(path)}"), closing(open_applying(path)) as conn:
        _refuse_migrating(conn, path)
        set_pragma(conn, "analysis_limit", request["limit"])
        analyzed, left_out = _analyze(conn, path, request["wait"], request["hold"])
        optimized = (
            not left_out
            and _unit(conn, path, f"PRAGMA optimize({_ALL_TABLES})", request["wait"], request["hold"]) == ""
        )
        return {
            "analyzed": analyzed,
            "left_out": left_out,
            "optimized": optimized,
            "statistics": _statistics(conn),
            "checkpoint": _checkpoint(conn, path, request["wait"]),
        }


def _refuse_migrating(conn: sqlite3.Connection, path: Path) -> None:
    """Statistics are tables of their own: making them changes the schema that a live migration watches."""
    found = captured(conn)
    if found is None:
        return
    if found.owner is Owner.POSTGRESQL:
        raise Refused(
            f"PostgreSQL owns the writes of {shown(path)}: this file is no longer what the application works on.",
            hint="Run ANALYZE in PostgreSQL instead; `stepflow cleanup` or `stepflow rollback` ends the migration.",
            code="postgres_owns_writes",
        )
    raise Refused(
        f"A live migration captures the changes of {shown(path)}.",
        detail="statistics would change the schema that it watches",
        hint="Optimize before a run, or after `stepflow cleanup` or `stepflow rollback`.",
        code="source_captured",
    )


def _analyze(conn: sqlite3.Connection, path: Path, wait: float, hold: float) -> tuple[list[str], list[dict[str, str]]]:
    """The tables that were analysed, and those that were not. After one that stayed locked no other is waited for."""
    tables = [as_text(name) for (name,) in conn.execute(_TABLES).fetchall()]
    analyzed: list[str] = []
    left_out: list[dict[str, str]] = []
    for table in tables:
        locked = bool(left_out) and left_out[-1]["reason"] == LOCKED
        reason = LOCKED if locked else _unit(conn, path, f"ANALYZE main.{lite_ident(table)}", wait, hold)
        if reason:
            left_out.append({"table": table, "reason": reason})
        else:
            analyzed.append(table)
        failpoint("optimize_table")
    return analyzed, left_out


def _unit(conn: sqlite3.Connection, path: Path, statement: str, wait: float, hold: float) -> str:
    """One statement in a write transaction of its own. Returns why it was not done, "" when it was."""
    try:
        begin(conn, path, wait)
        with _at_most(conn, hold):
            conn.execute(statement).fetchall()
        failpoint("optimize_commit")
        commit(conn, path, wait)
    except Held:
        rollback(conn)
        return LOCKED
    except UnicodeEncodeError:  # Python can't hand it to SQLite
        rollback(conn)
        return "its name is not UTF-8"
    except sqlite3.OperationalError as error:
        rollback(conn)
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return SLOW
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR:  # a collation or function of the application's
            return str(error)
        raise
    return ""


@contextmanager
def _at_most(conn: sqlite3.Connection, seconds: float) -> Iterator[None]:
    until = time.monotonic() + seconds
    conn.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    try:
        yield
    finally:
        conn.set_progress_handler(None, 0)


def _statistics(conn: sqlite3.Connection) -> int:
    """Rows of statistics that there are now."""
    if not conn.execute("select 1 from sqlite_schema where name='sqlite_stat1'").fetchall():
        return 0
    return int(conn.execute("select count(*) from sqlite_stat1").fetchone()[0])


def _checkpoint(conn: sqlite3.Connection, path: Path, wait: float) -> dict[str, Any] | None:
    """One checkpoint: TRUNCATE where nobody else has the file open, else PASSIVE, which waits for nobody. None: no WAL."""
    if as_text(conn.execute("PRAGMA journal_mode").fetchone()[0]) != "wal":
        return None
    others = scan(path)
    alone = others.known and others.complete and not others.processes
    before = _wal_bytes(path)
    with nobody_commits(path, wait, needed=not alone) as quiet:
        row = conn.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if alone else 'PASSIVE'})").fetchone() if quiet else None
    busy, frames, checkpointed = row or (1, None, None)
    return {
        "kind": "truncate" if alone else "passive",
        "done": quiet,
        "busy": bool(busy),
        "frames": frames,
        "checkpointed": checkpointed,
        "complete": not busy and frames == checkpointed,
        "wal_bytes_before": before,
        "wal_bytes_after": _wal_bytes(path),
    }


def _wal_bytes(path: Path) -> int:
    try:
        return side_file(path, "-wal").stat().st_size
    except OSError:
        return 0


if __name__ == "__main__":
    serve(handle)

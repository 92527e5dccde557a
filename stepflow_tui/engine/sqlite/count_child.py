"""The child process that counts a living database's rows: in short reads, never longer than it is told.

Each read is a transaction of its own, so that no writer waits and no checkpoint is held back for long. The counts of one
look are therefore not of one moment.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import Any

from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.connect import open_living
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

SLICE_ROWS = 20_000
SLICE_SECONDS = 0.1
"""A read that would take longer is given up; such a table is not counted."""
_STEPS = 1_000


def handle(request: dict[str, Any], emit: Emit) -> Any:
    """`{mode, tables: {name: rows or None}}`; tables that the time did not suffice for are None."""
    path, deadline = text_path(request["path"]), time.monotonic() + float(request["seconds"])
    try:
        with closing(open_living(path, immutable=request["immutable"], busy_timeout_ms=50)) as conn:
            [mode] = conn.execute("PRAGMA journal_mode").fetchone()
            return {
                "mode": mode,
                "tables": {name: _rows(conn, name, deadline) for name in _tables(conn)},
                "problem": "",
            }
    except sqlite3.Error as error:
        return {
            "mode": None,
            "tables": {},
            "problem": f"{getattr(error, 'sqlite_errorname', '')}: {error}".lstrip(": "),
        }


def _tables(conn: sqlite3.Connection) -> list[str]:
    rows = conn.execute(
        "select name from sqlite_schema where type='table' and name not like 'sqlite\\_%' escape '\\'"
        " and sql not like 'create virtual%' order by name limit 1000"
    )
    return [name for (name,) in rows.fetchall()]


def _rows(conn: sqlite3.Connection, table: str, deadline: float) -> int | None:
    quoted = lite_ident(table)
    try:
        _allow(conn, deadline)
        rowid = _name_of_rowid(conn, table)
        if rowid is not None:
            return _by_rowid(conn, table, rowid, deadline)
        # count(*) would be one single instruction, which no deadline ends
        [(count,)] = conn.execute(f"select coalesce(sum(1), 0) from {quoted}").fetchall()
    except sqlite3.Error:
        return None
    return int(count)


def _name_of_rowid(conn: sqlite3.Connection, table: str) -> str | None:
    """What the row number can be asked for by; None where there is none, or all its names are columns."""
    [(without,)] = conn.execute("select wr from pragma_table_list where schema='main' and name=?", (table,)).fetchall()
    if without:
        return None
    taken = {
        str(name).lower() for (name,) in conn.execute("select name from pragma_table_xinfo(?)", (table,)).fetchall()
    }
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)


def _by_rowid(conn: sqlite3.Connection, table: str, rowid: str, deadline: float) -> int:
    quoted, total, where = lite_ident(table), 0, ""
    bound: tuple[int, ...] = ()
    while True:
        _allow(conn, deadline)
        inner = f"select {rowid} as r from {quoted} {where} order by {rowid} limit {SLICE_ROWS}"
        [(count, last)] = conn.execute(f"select count(*), max(r) from ({inner})", bound).fetchall()
        total += count
        if count < SLICE_ROWS:
            return int(total)
        where, bound = f"where {rowid} > ?", (last,)


def _allow(conn: sqlite3.Connection, deadline: float) -> None:
    """Let the next read take its time, and not more."""
    until = min(deadline, time.monotonic() + SLICE_SECONDS)
    conn.set_progress_handler(lambda: time.monotonic() > until, _STEPS)


if __name__ == "__main__":
    serve(handle)

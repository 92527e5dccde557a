"""The child process behind a source's instant summary: what `examine` sees, then the catalog and row counts under a deadline.

A count reads every page of a table or index, so each one is cut off after a moment and replaced by an estimate: nobody
waits, and an application that shares a rollback-journal file is never held up for longer than that.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.connect import open_living
from stepflow_tui.engine.sqlite.probe_child import examine
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

TOTAL_SECONDS = 0.4
"""How long all counts and estimates together may take."""
ONE_SECONDS = 0.15
"""How long one of them may; in rollback-journal mode it keeps writers out."""
LISTED = 200
"""Tables named in the answer."""


@dataclass(slots=True)
class _Table:
    name: str
    rows: int | None = None
    exact: bool = False


def handle(request: dict[str, Any], _: Emit) -> Any:
    """The facts of `examine`, and `summary`, None where the rows can't be read."""
    path = text_path(request["path"])
    facts = examine(path, request)
    facts["summary"] = None
    sqlite = facts.get("sqlite") or {}
    if sqlite and "error" not in sqlite:
        try:
            facts["summary"] = summary(path, sqlite["immutable"], int(request["busy_timeout_ms"]))
        except sqlite3.Error as error:
            facts["sqlite"] = {"error": getattr(error, "sqlite_errorname", "") or "SQLITE_ERROR", "message": str(error)}
    return facts


def summary(path: Path, immutable: bool, busy_timeout_ms: int, seconds: float = TOTAL_SECONDS) -> dict[str, Any]:
    """Page size, version numbers, objects by type, tables with their rows (exact, or estimated, or unknown)."""
    conn = open_living(path, immutable=immutable, busy_timeout_ms=busy_timeout_ms)
    conn.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
    try:
        objects = dict(conn.execute("select type, count(*) from sqlite_schema group by 1").fetchall())
        kinds = _kinds(conn)
        tables = [_Table(name) for name, kind in kinds if kind == "table"]
        _count(conn, tables, time.monotonic() + seconds)
        return {
            "page_size": _value(conn, "page_size"),
            "user_version": _value(conn, "user_version"),
            "application_id": _value(conn, "application_id"),
            "views": objects.get("view", 0),
            "triggers": objects.get("trigger", 0),
            "tables": sum(kind in ("table", "virtual") for _, kind in kinds),
            "rows": sum(t.rows or 0 for t in tables),
            "rows_exact": all(t.exact for t in tables),
            "rows_unknown": sum(t.rows is None for t in tables),
            "listed": [[t.name, t.rows, t.exact] for t in _largest(tables)],
        }
    finally:
        conn.close()


def _largest(tables: list[_Table]) -> list[_Table]:
    return sorted(tables, key=lambda t: (-(t.rows or 0), t.name))[:LISTED]


def _value(conn: sqlite3.Connection, pragma: str) -> int:
    return int(conn.execute(f"PRAGMA {pragma}").fetchone()[0])


def _kinds(conn: sqlite3.Connection) -> list[tuple[str, str]]:
    """Names and kinds (`table`, `virtual`, `shadow`) of the tables, SQLite's own left out."""
    if sqlite3.sqlite_version_info >= (3, 37):
        sql = "select name, type from pragma_table_list where schema='main' and type <> 'view'"
    else:
        sql = "select name, case when sql like 'create virtual%' then 'virtual' else 'table' end from sqlite_schema where type='table'"
    return [(str(name), str(kind)) for name, kind in conn.execute(sql) if not str(name).lower().startswith("sqlite_")]


def _count(conn: sqlite3.Connection, tables: list[_Table], end: float) -> None:
    """Estimates first, they are one step down a tree each; then counts, the smallest tables first."""
    known = _analyzed(conn)
    for table in tables:
        table.rows = known.get(table.name)
        if table.rows is None:
            table.rows = _asked(conn, f"select max(rowid) from {lite_ident(table.name)}", end, empty=0)
    for table in sorted(tables, key=lambda t: t.rows if t.rows is not None else 1 << 62):
        rows = _asked(conn, f"select count(*) from {lite_ident(table.name)}", end)
        if rows is not None:
            table.rows, table.exact = rows, True


def _analyzed(conn: sqlite3.Connection) -> dict[str, int]:
    """Rows by table as ANALYZE left them."""
    try:
        rows = conn.execute("select tbl, stat from sqlite_stat1").fetchall()
    except sqlite3.Error:  # ANALYZE was never run
        return {}
    found: dict[str, int] = {}
    for table, stat in rows:
        first = str(stat).split(" ", maxsplit=1)[0]
        if first.isdigit():
            found[str(table)] = max(found.get(str(table), 0), int(first))
    return found


def _asked(conn: sqlite3.Connection, sql: str, end: float, *, empty: int | None = None) -> int | None:
    """One number, None where it takes too long or can't be read (no rowid, a module that isn't there, damage)."""
    if time.monotonic() >= end:
        return None
    try:
        with _deadline(conn, min(end, time.monotonic() + ONE_SECONDS)):
            value = conn.execute(sql).fetchone()[0]
    except (sqlite3.Error, UnicodeError):
        return None
    return value if isinstance(value, int) and value >= 0 else empty


@contextmanager
def _deadline(conn: sqlite3.Connection, end: float) -> Iterator[None]:
    """Interrupts what runs when the time is over. A count is one instruction, which no progress handler ever sees."""
    timer = threading.Timer(max(0.0, end - time.monotonic()), conn.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # or it might interrupt the statement after this one


if __name__ == "__main__":
    serve(handle)

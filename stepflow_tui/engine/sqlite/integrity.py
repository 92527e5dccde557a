"""Owns what is wrong inside a database file of ours: `integrity_check` sorted by kind, `foreign_key_check` counted per key.

Runs in a child process, on a frozen file.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import Any

from stepflow_tui.engine.plan.quote import lite_ident, lite_literal

_LIMIT = 100
_FIRST_KEYS = 5

_CONSTRAINT = re.compile(r"^(NULL value in|(non-)?[A-Z]+ value in|CHECK constraint failed in) ")
_INDEX = re.compile(
    r"^(row \d+ missing from index|wrong # of entries in index|non-unique entry in index|row \d+ values differ from index|"
    r"rowid not at end-of-record for row \d+ of index|.* row in index order|unable to get the page. .* index) ?"
)


def check_integrity(conn: sqlite3.Connection) -> dict[str, list[Any]]:
    """`integrity_check` (never `quick_check`), its lines sorted into damage, index damage and broken constraints.

    `unchecked` lists tables that can't be checked because a collation, function or module is missing, with the reason.
    """
    found: dict[str, list[Any]] = {"damage": [], "indexes": [], "constraints": [], "unchecked": []}
    try:
        _sort(conn.execute(f"PRAGMA integrity_check({_LIMIT})"), found)
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            found["damage"].append(str(error))
            return found
        _check_each(conn, found)
    return found


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return (getattr(error, "sqlite_errorname", None) or "").startswith(
        ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR")
    )


def _sort(rows: sqlite3.Cursor, found: dict[str, list[Any]]) -> None:
    for (text,) in rows:
        for line in str(text).splitlines():
            if line != "ok" and not line.startswith("*** in database"):
                kind = "constraints" if _CONSTRAINT.match(line) else "indexes" if _INDEX.match(line) else "damage"
                found[kind].append(line)


def _check_each(conn: sqlite3.Connection, found: dict[str, list[Any]]) -> None:
    """Table by table: what one table lacks must not leave the others unchecked."""
    for table in _tables(conn):
        try:
            _sort(conn.execute(f"PRAGMA integrity_check({lite_ident(table)})"), found)
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                found["damage"].append(f"{table}: {error}")
                continue
            found["unchecked"].append([table, str(error)])
            _walk(conn, table, found)


def _walk(conn: sqlite3.Connection, table: str, found: dict[str, list[Any]]) -> None:
    """A full scan of the table's own tree: what is left of a check without its collation or function."""
    try:
        conn.execute(f"select count(*) from {lite_ident(table)} not indexed").fetchall()
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            found["damage"].append(f"{table}: {error}")


def _tables(conn: sqlite3.Connection) -> list[str]:
    return [
        row[0]
        for row in conn.execute("select name from sqlite_schema where type='table' and rootpage>0 order by rowid")
    ]


def check_foreign_keys(conn: sqlite3.Connection) -> list[dict[str, Any]]:
    """Every foreign key with orphans, or that SQLite itself calls a mismatch: columns, parent, count, first keys."""
    return [
        entry
        for table in _tables(conn)
        for entry in _table_foreign_keys(conn, table)
        if entry["count"] or entry["error"]
    ]


def _table_foreign_keys(conn: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    keys: dict[int, dict[str, Any]] = {}
    for number, _, parent, column, to, *_ in conn.execute(f"PRAGMA foreign_key_list({lite_ident(table)})"):
        entry = keys.setdefault(number, {"table": table, "columns": [], "parent": parent, "parent_columns": [], "count": 0,
                                         "first_keys": [], "error": ""})  # fmt: skip
        entry["columns"].append(column)
        if to is not None:
            entry["parent_columns"].append(to)
    if not keys:
        return []
    try:
        for _, rowid, _, number in conn.execute(f"PRAGMA foreign_key_check({lite_ident(table)})"):
            entry = keys[number]
            entry["count"] += 1
            if rowid is not None and len(entry["first_keys"]) < _FIRST_KEYS:
                entry["first_keys"].append(str(rowid))
    except sqlite3.DatabaseError as error:
        # One mismatched key makes SQLite give up on the whole table: count each key by itself.
        for entry in keys.values():
            _count_orphans(conn, entry, str(error))
    return list(keys.values())


def _count_orphans(conn: sqlite3.Connection, entry: dict[str, Any], error: str) -> None:
    entry["count"], entry["first_keys"] = 0, []
    parents = entry["parent_columns"] or _primary_key(conn, entry["parent"])
    if len(parents) != len(entry["columns"]):
        entry["count"], entry["error"] = None, error
        return
    if not _unique(conn, entry["parent"], parents):
        entry["error"] = error
    child, parent = (", ".join(lite_ident(c) for c in columns) for columns in (entry["columns"], parents))
    present = " and ".join(f"{lite_ident(c)} is not null" for c in entry["columns"])
    known = " and ".join(f"{lite_ident(c)} is not null" for c in parents)
    query = (
        f"select count(*) from {lite_ident(entry['table'])} where {present} and ({child}) not in"
        f" (select {parent} from {lite_ident(entry['parent'])} where {known})"
    )
    try:
        [entry["count"]] = conn.execute(query).fetchone()
    except sqlite3.DatabaseError as failure:
        entry["count"], entry["error"] = None, str(failure)


def _primary_key(conn: sqlite3.Connection, table: str) -> list[str]:
    columns = conn.execute(f"select name from pragma_table_info({lite_literal(table)}) where pk>0 order by pk")
    return [name for (name,) in columns]


def _unique(conn: sqlite3.Connection, table: str, columns: list[str]) -> bool:
    """Whether the parent columns are a key there, so that this key is not the one that is mismatched."""
    wanted = {c.lower() for c in columns}
    return wanted in ({c.lower() for c in key} for key in (_primary_key(conn, table), *_unique_keys(conn, table)))


def _unique_keys(conn: sqlite3.Connection, table: str) -> Iterator[list[str]]:
    indexes = conn.execute(f'select name from pragma_index_list({lite_literal(table)}) where "unique" and not partial')
    for (name,) in indexes.fetchall():
        yield [c for (c,) in conn.execute(f"select name from pragma_index_info({lite_literal(name)})") if c is not None]

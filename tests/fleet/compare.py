"""Whether SQLite and PostgreSQL hold the same rows in all tables, value for value; shares no code with the product."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg

from tests.fleet.values import common

Rows = Counter[tuple[Any, ...]]


async def differences(path: Path, dsn: str, schema: str = "public") -> list[str]:
    """What one side has and the other hasn't, a line per table and side; [] when they are equal.

    Both must be at rest. Tables of StepFlow itself are left out, columns are those of SQLite, generated ones included.
    """
    found = []
    connection = await asyncpg.connect(dsn)
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as lite:
            for table in tables(lite):
                found += await _table(lite, connection, schema, table)
    finally:
        await connection.close()
    return found


def tables(lite: sqlite3.Connection) -> list[str]:
    """The application's tables."""
    rows = lite.execute("select name from sqlite_schema where type = 'table' order by name")
    return [n for (n,) in rows if not n.startswith(("sqlite_", "_sf_"))]


async def _table(lite: sqlite3.Connection, connection: asyncpg.Connection, schema: str, table: str) -> list[str]:
    columns = [r[1] for r in lite.execute(f"pragma table_xinfo('{table}')") if r[6] != 1]
    listed = ", ".join(f'"{c}"' for c in columns)
    statement = await connection.prepare(f'select {listed} from "{schema}"."{table}"')
    kinds = [_kind(a.type.name) for a in statement.get_attributes()]
    source: Rows = Counter(
        tuple(_told(v, k) for v, k in zip(row, kinds, strict=True))
        for row in lite.execute(f"select {listed} from {table}")
    )
    target: Rows = Counter(tuple(common(v, k) for v, k in zip(r, kinds, strict=True)) for r in await statement.fetch())
    return [
        f"{table}: {rows.total()} only in {side}, such as {list(rows)[:2]}"
        for side, rows in (("SQLite", source - target), ("PostgreSQL", target - source))
        if rows
    ]


def _told(value: Any, kind: str) -> Any:
    """The common form, or the value itself where it has no place in the column: then it equals nothing there."""
    try:
        return common(value, kind)
    except (TypeError, ValueError):
        return ("odd", value)


def _kind(name: str) -> str:
    return {
        "int8": "bigint",
        "int4": "integer",
        "int2": "smallint",
        "bool": "boolean",
        "float8": "double precision",
        "timestamp": "timestamp without time zone",
    }.get(name, name)

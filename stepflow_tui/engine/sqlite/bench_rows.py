"""How a benchmark sees a table: its columns, what names its rows, and samples of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from stepflow_tui.engine.model.live import OURS
from stepflow_tui.engine.model.schema import Generated, SourceSchema, SourceTable, TableKind
from stepflow_tui.engine.plan.quote import lite_ident

_LEAST_ROWS = 20
_KEYS = 1_000
_LARGEST_ROW = 64 * 1024


def counted_tables(conn: sqlite3.Connection, schema: SourceSchema, most: int | None) -> list[tuple[SourceTable, int]]:
    """Ordinary tables that can be read, the largest first."""
    found = []
    for table in schema.tables:
        if (
            table.kind is TableKind.ORDINARY
            and not table.unreadable
            and not table.name.startswith(OURS)
            and key_of(table)
        ):
            try:
                rows = int(conn.execute(f"select count(*) from {lite_ident(table.name)}").fetchone()[0])
            except sqlite3.Error:
                continue  # damaged, or it needs what this library doesn't have: not a table to measure with
            if rows >= _LEAST_ROWS and (most is None or rows <= most):
                found.append((table, rows))
    return sorted(found, key=lambda t: -t[1])


def key_of(table: SourceTable) -> tuple[str, ...]:
    """What names a row: its primary key, else the rowid; () where there is neither."""
    if table.primary_key:
        return table.primary_key
    return (table.rowid_name,) if table.rowid_name else ()


def columns_of(table: SourceTable) -> tuple[str, ...]:
    """Columns that are written, the key among them."""
    stored = tuple(c.name for c in table.columns if c.generated is Generated.NO)
    return stored if table.primary_key else (*key_of(table), *stored)


def listed(names: Iterable[str]) -> str:
    """Names as SQL."""
    return ", ".join(lite_ident(n) for n in names)


def place_of(columns: Sequence[str], name: str) -> int:
    folded = [c.lower() for c in columns]
    return folded.index(name.lower())


def sampled_keys(conn: sqlite3.Connection, table: SourceTable, rows: int) -> tuple[tuple[Any, ...], ...]:
    """Keys from all over the table."""
    every = max(1, rows // _KEYS)
    cursor = conn.execute(f"select {listed(key_of(table))} from {lite_ident(table.name)}")
    return tuple(key for at, key in enumerate(cursor) if at % every == 0 and usable(key) and None not in key)[
        : 2 * _KEYS
    ]


def is_key(table: SourceTable) -> str:
    return " and ".join(f"{lite_ident(k)} = ?" for k in key_of(table))


def usable(row: Iterable[Any]) -> bool:
    """Whether the row can be bound again: its text is UTF-8, and it isn't huge."""
    size = 0
    for value in row:
        if isinstance(value, str):
            if any("\ud800" <= c <= "\udfff" for c in value):
                return False
            size += len(value)
        elif isinstance(value, bytes):
            size += len(value)
    return size <= _LARGEST_ROW

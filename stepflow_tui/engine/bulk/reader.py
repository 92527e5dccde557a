"""Reads rows of the frozen file with the standard library, storage classes kept apart, TEXT undamaged.

In a UTF-16 file SQLite joins a lone surrogate with whatever follows when it converts to UTF-8, so TEXT is read there
as the bytes that are stored, with a mask that tells it from blobs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.bulk.bounds import Key
from stepflow_tui.engine.bulk.spec import CopySpec
from stepflow_tui.engine.bulk.values import Value, decode, scalar
from stepflow_tui.engine.model.discrepancy import Scalar
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.connect import Text

FETCH_ROWS = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its copied values in the spec's order, and its key for a report."""

    values: tuple[Value | None, ...]
    key: dict[str, Scalar]


def read_rows(
    connection: sqlite3.Connection, spec: CopySpec, lo: Key | None, hi: Key | None, *, resent: bool
) -> Iterator[Row]:
    """The rows of a slow segment, or all rows of a fast one that is sent again.

    Args:
        connection: on the frozen file, with `exact_rows`.
        spec: the table.
        lo, hi: the bounds.
        resent: a fast segment's rows.
    """
    names = [*(c.source for c in spec.columns), *spec.key, *([spec.rowid] if spec.rowid else [])]
    wide = spec.encoding != "utf-8"
    width = len(spec.columns)
    quoted = [lite_ident(name) for name in names]
    sql = f"select {exact_columns(quoted, wide=wide)} {spec.slow_from(lo, hi, resent=resent)}"
    for raw in _fetch(connection, sql):
        values = exact_values(raw, spec.encoding)
        yield Row(values[:width], _key(spec, values[width:]))


def _key(spec: CopySpec, values: tuple[Value | None, ...]) -> dict[str, Scalar]:
    """What names the row: its key, and its rowid where a part of the key is NULL."""
    parts = values[: len(spec.key)]
    key = {name: scalar(v) for name, v in zip(spec.key, parts, strict=True)}
    if spec.rowid and None in parts:
        key[spec.rowid] = scalar(values[-1])
    return key


def _fetch(connection: sqlite3.Connection, sql: str) -> Iterator[tuple[Any, ...]]:
    cursor = connection.execute(sql)
    try:
        yield from cursor
    finally:
        cursor.close()


def exact_columns(quoted: list[str], *, wide: bool) -> str:
    """A SELECT list whose rows `exact_values` reads. `wide`: the file stores UTF-16."""
    if not wide:
        return ",".join(quoted)
    values = (f"iif(typeof({x})='text',cast({x} as blob),{x})" for x in quoted)
    return f"{','.join(values)},{_mask(quoted)}"


def _mask(quoted: list[str]) -> str:
    """One character per column, 1 for TEXT; a balanced tree, because an expression may be 1,000 levels deep at most."""
    if len(quoted) == 1:
        return f"(typeof({quoted[0]})='text')"
    middle = len(quoted) // 2
    return f"({_mask(quoted[:middle])}||{_mask(quoted[middle:])})"


def exact_values(raw: tuple[Any, ...], encoding: str) -> tuple[Value | None, ...]:
    """A row as it is stored, from a connection with `exact_rows`. `encoding`: utf-8, utf-16-le or utf-16-be."""
    return tuple(_value(v) for v in raw) if encoding == "utf-8" else _from_utf16(raw, encoding)


def _value(raw: Any) -> Value | None:
    return decode(bytes(raw), "utf-8") if isinstance(raw, Text) else raw


def _from_utf16(raw: tuple[Any, ...], encoding: str) -> tuple[Value | None, ...]:
    mask = raw[-1] if isinstance(raw[-1], bytes) else b"%d" % raw[-1]
    return tuple(
        decode(bytes(value), encoding) if flag == 0x31 else value for value, flag in zip(raw[:-1], mask, strict=True)
    )

"""Key values of a live table: how they are bound, sorted, and told from the target's."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, cast

from stepflow_tui.engine.model.plan import ColumnPlan, CompareKind, TablePlan
from stepflow_tui.engine.model.types import EpochUnit, Kind
from stepflow_tui.engine.sqlite.connect import Text
from stepflow_tui.engine.verify.expected import LoneText, Value
from stepflow_tui.engine.verify.forms import kind_of, padded
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import Key, KeyValue
from stepflow_tui.engine.verify.printed import target_text

Row = tuple[Value, ...]
"""A source row's compared values, the key's first."""
Place = tuple[Value, ...]
"""Key values of a source row, as stored."""
Form = tuple[int | bytes | None, ...]
"""Key values of a target row, in their columns' forms."""

_SORTED = (Kind.INTEGER, Kind.TEXT, Kind.BLOB)


def order_of(job: VerifyJob, table: TablePlan, key: Sequence[ColumnPlan]) -> Key | None:
    """The key as an order common to both sides; None where they may sort or pair it differently."""
    kinds = (Kind.INTEGER,) if job.utf16 else _SORTED
    if any(c.type.kind not in kinds or padded(c) for c in key):
        return None
    by_rowid = len(key) == 1 and key[0].source in (table.rowid_alias, table.rowid_name)
    planned = table.compare.kind is CompareKind.KEY and table.compare.columns == table.live_key
    return Key(tuple(key)) if by_rowid or planned else None


def plain_key(place: Place) -> KeyValue:
    """An ordinary key as ranges take it."""
    return tuple(v.decode() if isinstance(v, Text) else cast(Any, v) for v in place)


def ordinary(value: Value, column: ColumnPlan) -> bool:
    """Whether a key value has the storage class that both sides sort alike."""
    if column.type.kind is Kind.INTEGER:
        return isinstance(value, int)
    if column.type.kind is Kind.BLOB:
        return isinstance(value, bytes) and not isinstance(value, Text)
    if not isinstance(value, Text):
        return False
    try:
        return "\x00" not in value.decode()
    except UnicodeDecodeError:
        return False


def size_of(row: Sequence[Any]) -> int:
    """Bytes of a row, roughly."""
    return sum(len(v) if isinstance(v, bytes) else 8 for v in row)


def bound(key: Place) -> tuple[list[str], list[Any]]:
    """Placeholders and parameters that give SQLite these very values."""
    marks: list[str] = []
    values: list[Any] = []
    for value in key:
        mark, bound = "?", cast(Any, value)
        if isinstance(value, LoneText):
            mark, bound = "cast(? as text)", value.raw
        elif isinstance(value, Text):
            try:
                bound = value.decode()
            except UnicodeDecodeError:
                mark, bound = "cast(? as text)", bytes(value)
        marks.append(mark)
        values.append(bound)
    return marks, values


def candidates(value: int | bytes | None, column: ColumnPlan) -> list[Value]:
    """Source values that may have become a target value; where none of them is found, all rows are looked through."""
    kind = kind_of(column)
    if isinstance(value, int):
        return _whole_candidates(value, column, kind)
    if value is None:
        return []
    if kind is Kind.BLOB:
        return [value, Text(value)]
    if kind is Kind.MIXED_BYTEA:
        return _tagged(value)
    if kind is Kind.REAL:
        number: float = struct.unpack(">d", value)[0]
        return [number, Text(repr(number).encode())]
    found: list[Value] = [Text(value)]
    if kind is Kind.OTHER:  # PostgreSQL writes uuids and the like in lower case
        found.append(Text(value.upper()))
    for number_of in (int, float):
        try:
            found.append(number_of(value))
        except (ValueError, OverflowError):
            continue
    return [v for v in found if not isinstance(v, int) or -(2**63) <= v < 2**63]


def _whole_candidates(value: int, column: ColumnPlan, kind: Kind) -> list[Value]:
    micros = {EpochUnit.SECONDS: 1_000_000, EpochUnit.MILLIS: 1_000, EpochUnit.MICROS: 1}
    if kind is Kind.EPOCH and column.type.unit in micros:
        return [value // micros[column.type.unit]]
    text = target_text(value, column) or ""
    if kind is Kind.TIMESTAMP and column.type.form is not None:
        digits = column.type.form.digits
        whole, _, part = text.partition(".")
        text = whole.replace(" ", "T" if column.type.form.with_t else " ") + (
            f".{part.ljust(6, '0')[:digits]}" if digits else ""
        )
    return [value, Text(text.encode())] if kind in (Kind.INTEGER, Kind.BOOLEAN) else [Text(text.encode())]


def _tagged(value: bytes) -> list[Value]:
    tag, rest = value[:1], value[1:]
    if tag in (b"t", b"b"):
        return [Text(rest) if tag == b"t" else rest]
    try:
        return [int(rest) if tag == b"i" else float(rest)]
    except ValueError:
        return []

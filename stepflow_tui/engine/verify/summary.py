"""`basic` and `standard`: row counts, then null counts, minimum, maximum and sums per column, aggregated on each side."""

from __future__ import annotations

import asyncio
import sqlite3
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.model.discrepancy import DiffClass, Discrepancy
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.model.sensitive import Mask
from stepflow_tui.engine.model.types import EpochUnit, Kind
from stepflow_tui.engine.plan.quote import lite_ident, pg_ident, pg_name
from stepflow_tui.engine.verify.expected import Value, Wrong, converter
from stepflow_tui.engine.verify.forms import Form, form_of, kind_of, padded, read
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.printed import shorten, target_scalar, target_text
from stepflow_tui.engine.verify.sides import Sides

_COLUMNS = 200
"""Columns per query: SQLite takes 2,000 result columns at most."""
_SLICE_ROWS = 20_000
_MICROS = {EpochUnit.SECONDS: 1_000_000, EpochUnit.MILLIS: 1_000, EpochUnit.MICROS: 1}


@dataclass(slots=True)
class _Stats:
    """Aggregates of one column; `low` and `high` are source values, or comparable ones on the target's side."""

    there: int = 0
    low: Any = None
    high: Any = None
    total: int | None = None

    def merge(self, other: _Stats) -> None:
        self.there += other.there
        if other.low is not None:
            self.low = other.low if self.low is None else min(self.low, other.low)
            self.high = other.high if self.high is None else max(self.high, other.high)
        if other.total is not None:
            self.total = (self.total or 0) + other.total


async def row_counts(table: TablePlan, sides: Sides) -> tuple[int, int]:
    """Rows of source and target."""
    name = pg_name(table.schema, table.name)
    ours = await asyncio.to_thread(
        lambda: sides.source.execute(f"select count(*) from {lite_ident(table.source)}").fetchone()[0]
    )
    return int(ours), int(await sides.target.fetchval(f"select count(*) from {name}"))


async def column_differences(
    job: VerifyJob, table: TablePlan, columns: Sequence[ColumnPlan], sides: Sides
) -> list[Discrepancy]:
    """Columns whose null count, minimum, maximum or sum differ. Meant for tables without rejected rows."""
    found: list[Discrepancy] = []
    for start in range(0, len(columns), _COLUMNS):
        part = columns[start : start + _COLUMNS]
        ours = await asyncio.to_thread(_source, sides.source, job, table, part)
        theirs = await _target(sides.target, job, table, part)
        for column, a, b in zip(part, ours, theirs, strict=True):
            found += _differences(table, column, a, b, _unit(column), job.mask)
    return found


def _unit(column: ColumnPlan) -> int:
    """What the source's sum counts, in the target's comparable unit."""
    return _MICROS.get(column.type.unit or EpochUnit.SECONDS, 1) if kind_of(column) is Kind.EPOCH else 1


def _measured(job: VerifyJob, table: TablePlan, column: ColumnPlan) -> tuple[bool, bool]:
    """Whether minimum and maximum, and the sum, can be compared as aggregates on both sides."""
    kind = kind_of(column)
    if job.column_facts(table, column.source).violations or padded(column):
        return False, False
    if kind in (Kind.INTEGER, Kind.BOOLEAN, Kind.DECIMAL):
        return True, True
    if kind is Kind.EPOCH:
        return column.type.unit in _MICROS, column.type.unit in _MICROS
    if kind is Kind.TEXT:
        # a UTF-16 file sorts by other bytes; a citext by other rules
        return not job.utf16 and column.type.sql.lower() != "citext", True
    if kind is Kind.BLOB:
        return False, True  # min(bytea) is new in PostgreSQL 18
    return kind in (Kind.REAL, Kind.TIMESTAMP, Kind.DATE), False


def _source(
    connection: sqlite3.Connection, job: VerifyJob, table: TablePlan, columns: Sequence[ColumnPlan]
) -> list[_Stats]:
    stats = [_Stats() for _ in columns]
    parts = ",".join(",".join(_source_terms(job, table, c)) for c in columns)
    for where in _slices(connection, job, table):
        row = connection.execute(f"select {parts} from {lite_ident(table.source)}{where}").fetchone()
        for n, (column, held) in enumerate(zip(columns, stats, strict=True)):
            there, low, high, upper, lower = row[5 * n : 5 * n + 5]
            _, summed = _measured(job, table, column)
            held.merge(_Stats(there, low, high, ((upper or 0) << 20) + (lower or 0) if summed else None))
    return stats


def _slices(connection: sqlite3.Connection, job: VerifyJob, table: TablePlan) -> Iterable[str]:
    """A frozen file at once, a living one in short reads where it has a rowid."""
    if job.frozen or table.rowid_name is None:
        yield ""
        return
    x = lite_ident(table.rowid_name)
    low: int | None = None
    while True:
        where = "" if low is None else f" where {x}>{low}"
        row = connection.execute(
            f"select {x} from {lite_ident(table.source)}{where} order by {x} limit 1 offset {_SLICE_ROWS - 1}"
        ).fetchone()
        if row is None:
            yield where
            return
        yield f"{where or ' where 1'} and {x}<={row[0]}"
        low = row[0]


def _source_terms(job: VerifyJob, table: TablePlan, column: ColumnPlan) -> tuple[str, ...]:
    x = lite_ident(column.source)
    ranged, summed = _measured(job, table, column)
    kind = kind_of(column)
    binary = f"{x} collate binary" if kind in (Kind.TEXT, Kind.TIMESTAMP, Kind.DATE) else x
    low, high = (f"min({binary})", f"max({binary})") if ranged else ("null", "null")
    if not summed:
        return f"count({x})", low, high, "null", "null"
    value = f"length({x})" if kind in (Kind.TEXT, Kind.BLOB) else x
    if kind is Kind.DECIMAL:
        value = f"cast(round({x}*{10 ** (column.type.scale or 0)}) as integer)"
    # two halves: SQLite's sum() fails where 64 bits overflow
    return f"count({x})", low, high, f"sum(({value})>>20)", f"sum(({value})&1048575)"


async def _target(target: Any, job: VerifyJob, table: TablePlan, columns: Sequence[ColumnPlan]) -> list[_Stats]:
    parts = ",".join(",".join(_target_terms(job, table, c)) for c in columns)
    row = await target.fetchrow(f"select {parts} from {pg_name(table.schema, table.name)}")
    stats = []
    for n in range(len(columns)):
        there, low, high, total = row[4 * n : 4 * n + 4]
        stats.append(_Stats(there, low, high, None if total is None else int(total)))
    return stats


def _target_terms(job: VerifyJob, table: TablePlan, column: ColumnPlan) -> tuple[str, ...]:
    how = read(column)
    x = pg_ident(column.target)
    ranged, summed = _measured(job, table, column)
    kind = kind_of(column)
    if kind is Kind.DECIMAL:
        shape, total = "convert_to(trim_scale({f}({x}::numeric))::text,'UTF8')", f"{x}*{10 ** (column.type.scale or 0)}"
    elif kind is Kind.TEXT:
        shape, total = "convert_to({f}({x}::text collate \"C\"),'UTF8')", f"char_length({x}::text)"
    elif kind is Kind.REAL:
        shape, total = "float8send({f}({x}::float8))", ""
    else:
        shape, total = "{f}({v})", f"octet_length({x})" if kind is Kind.BLOB else how.value
    low, high = (shape.replace("{f}", f).replace("{x}", x).replace("{v}", how.value) for f in ("min", "max"))
    return f"count({x})", low if ranged else "null", high if ranged else "null", f"sum({total})" if summed else "null"


def _differences(
    table: TablePlan, column: ColumnPlan, ours: _Stats, theirs: _Stats, unit: int, mask: Mask
) -> list[Discrepancy]:
    found = []

    def shown(value: Any) -> object:
        hidden = mask.covers(table.source, column.source) and value is not None and not isinstance(value, Wrong)
        return mask.fingerprint(target_scalar(value, column)) if hidden else target_text(value, column)

    if ours.there != theirs.there:
        found.append(_discrepancy(table, column, "values that are not NULL", ours.there, theirs.there))
    convert = converter(column)
    for name, source, held in (("minimum", ours.low, theirs.low), ("maximum", ours.high, theirs.high)):
        expected = convert(_value(source))
        if _comparable(expected, column) != _comparable(held, column):
            found.append(_discrepancy(table, column, name, shown(expected), shown(held)))
    total = None if ours.total is None else ours.total * unit
    if total is not None and ours.there and total != theirs.total:
        if kind_of(column) in (Kind.TEXT, Kind.BLOB):
            found.append(_discrepancy(table, column, "total length", total, theirs.total))
        else:  # the sum of a table's only row is its value
            mine, other = (mask.shown(table.source, column.source, n) for n in (total, theirs.total))
            found.append(_discrepancy(table, column, "sum", mine, other))
    return found


def _value(source: Any) -> Value:
    return source  # type: ignore[no-any-return] # as the source's connection gives it


def _comparable(value: Any, column: ColumnPlan) -> Any:
    """Reals by number: minimum and maximum may pick either zero."""
    if value is not None and form_of(column) is Form.FLOAT8 and isinstance(value, bytes):
        return struct.unpack(">d", value)[0]
    return value


def _discrepancy(table: TablePlan, column: ColumnPlan, what: str, ours: object, theirs: object) -> Discrepancy:
    return Discrepancy(
        table=table.source,
        key={},
        column=column.source,
        cls=DiffClass.CHANGED,
        source=shorten(f"{what}: {ours}"),
        target=shorten(f"{what}: {theirs}"),
        cause="the level `detailed` names the rows",
    )

"""A value into a column: SQLite applies the column's affinity, PostgreSQL wants the column's type."""

from __future__ import annotations

from decimal import Decimal

from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.schema import SourceColumn
from stepflow_tui.engine.model.types import EpochUnit
from stepflow_tui.engine.plan.translate.comparisons import is_moment
from stepflow_tui.engine.plan.translate.scopes import column_value, numeric
from stepflow_tui.engine.plan.translate.values import (
    EXACT,
    Sort,
    Untranslatable,
    Value,
    constant,
    number,
    number_text,
    text,
)


def stored(value: Value, source: SourceColumn, planned: ColumnPlan) -> str:
    """The SQL that puts this value into that column, with the value SQLite would store.

    Raises:
        Untranslatable: SQLite would store what the column's PostgreSQL type can't hold, or isn't sure to.
    """
    target = column_value(source, planned)
    if value.sort is Sort.NULL:
        return f"null::{planned.type.sql}"
    if value.is_constant and value.sort is Sort.TEXT and numeric(source.affinity):
        found = number_text(str(value.constant))
        value = value if found is None else constant(found)
    maker = _MAKERS.get(target.sort)
    if maker is None:
        return _opaque(value, target, planned)
    return maker(value, target, planned)


def _cannot(value: Value, planned: ColumnPlan) -> Untranslatable:
    shown = f" {value.constant!r}" if value.is_constant else ""
    return Untranslatable(f"a {value.sort.value}{shown}, which a column of type {planned.type.sql} can't hold")


def _integer(value: Value, _: Value, planned: ColumnPlan) -> str:
    if value.sort is Sort.REAL and isinstance(value.constant, float) and value.constant.is_integer():
        value = constant(int(value.constant)) if abs(value.constant) < EXACT else value
    if value.sort in (Sort.INT, Sort.BOOL, Sort.EPOCH) or value.integer_sql is not None:
        return value.sql if value.is_constant else f"({number(value)})::{planned.type.sql}"
    raise _cannot(value, planned)


def _boolean(value: Value, _: Value, planned: ColumnPlan) -> str:
    if value.sort is Sort.BOOL:
        return value.sql
    if value.is_constant and value.constant in (0, 1) and value.sort in (Sort.INT, Sort.REAL):
        return "true" if value.constant else "false"
    raise _cannot(value, planned)


def _real(value: Value, _: Value, planned: ColumnPlan) -> str:
    if value.is_constant and isinstance(value.constant, int) and abs(value.constant) <= EXACT:
        return f"'{value.constant}'::float8"
    if value.sort in (Sort.REAL, Sort.INT, Sort.BOOL, Sort.DECIMAL):
        return value.sql if value.sort is Sort.REAL else f"({number(value)})::float8"
    raise _cannot(value, planned)


def _decimal(value: Value, _: Value, planned: ColumnPlan) -> str:
    scale = planned.type.scale or 0
    if value.is_constant and isinstance(value.constant, int | float) and abs(value.constant) < 1e15:
        exact = Decimal(repr(value.constant))
        if planned.type.sql == "numeric" or exact == round(exact, scale):
            return format(exact, "f")
    computed = value.sort is Sort.DECIMAL and not value.renders  # a cast would round it
    if value.sort in (Sort.INT, Sort.BOOL, Sort.DECIMAL) and not value.is_constant and not computed:
        return f"({number(value)})::{planned.type.sql}"
    raise _cannot(value, planned)


def _text(value: Value, target: Value, planned: ColumnPlan) -> str:
    if value.sort is Sort.TEXT:
        return value.sql
    if target.affinity is not None and target.affinity.value == "TEXT" and value.sort is not Sort.BLOB:
        return text(value).sql
    if value.sort in (Sort.TIMESTAMP, Sort.DATE):
        return text(value).sql
    raise _cannot(value, planned)


def _mixed(value: Value, target: Value, planned: ColumnPlan) -> str:
    if value.sort in (Sort.INT, Sort.MIXED, Sort.TIMESTAMP, Sort.DATE):
        if value.sort is Sort.MIXED and value.affinity is not target.affinity:
            raise _cannot(value, planned)
        return value.sql if value.sort is Sort.MIXED else text(value).sql
    if value.is_constant and value.sort is Sort.TEXT:
        return value.sql
    raise _cannot(value, planned)


def _blob(value: Value, _: Value, planned: ColumnPlan) -> str:
    if value.sort is Sort.BLOB:
        return value.sql
    raise _cannot(value, planned)


def _timestamp(value: Value, target: Value, planned: ColumnPlan) -> str:
    if value.sort is Sort.TIMESTAMP:
        if value.immutable and value.form is not target.form:
            raise Untranslatable("a moment written in another form than the column's")
        return value.sql
    if isinstance(value.constant, str) and target.form is not None and is_moment(value.constant, target.form):
        return f"{value.sql}::timestamp"
    raise _cannot(value, planned)


def _date(value: Value, _: Value, planned: ColumnPlan) -> str:
    if value.sort is Sort.DATE:
        return value.sql
    if isinstance(value.constant, str) and is_moment(value.constant, None):
        return f"{value.sql}::date"
    raise _cannot(value, planned)


def _epoch(value: Value, target: Value, planned: ColumnPlan) -> str:
    if value.sort is Sort.EPOCH and value.unit is target.unit:
        return value.sql
    divisor = {EpochUnit.SECONDS: 1, EpochUnit.MILLIS: 1000, EpochUnit.MICROS: 1_000_000}.get(target.unit)  # type: ignore[arg-type]
    if divisor is None or (value.sort is not Sort.INT and value.integer_sql is None):
        raise _cannot(value, planned)
    micros = f"({number(value)}) * {1_000_000 // divisor}"
    return f"(timestamp '1970-01-01 00:00:00' + {micros} * interval '1 microsecond')"


def _opaque(value: Value, target: Value, planned: ColumnPlan) -> str:
    """Types that PostgreSQL parses from text: constants only, and PostgreSQL has the last word."""
    if planned.type.sql == "timestamp with time zone" and value.sort is Sort.TIMESTAMP:
        return f"({value.sql} at time zone 'utc')"
    if planned.type.sql in ("json", "jsonb", "citext", "uuid") and value.is_constant and value.sort is Sort.TEXT:
        return f"{value.sql}::{planned.type.sql}"
    raise _cannot(value, planned)


_MAKERS = {
    Sort.INT: _integer,
    Sort.BOOL: _boolean,
    Sort.REAL: _real,
    Sort.DECIMAL: _decimal,
    Sort.TEXT: _text,
    Sort.MIXED: _mixed,
    Sort.BLOB: _blob,
    Sort.TIMESTAMP: _timestamp,
    Sort.DATE: _date,
    Sort.EPOCH: _epoch,
}

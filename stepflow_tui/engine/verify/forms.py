"""How a target column is read: in which form its values are compared, and the SQL that gives it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import pg_ident

OUT_OF_RANGE = -(2**63)
"""Stands for ±infinity of dates and timestamps: a value no source value can become."""


class Form(StrEnum):
    """The comparable form of a value on both sides."""

    INT8 = "int8"  # a Python int
    FLOAT8 = "float8"  # 8 bytes IEEE 754, big endian
    BYTES = "bytes"  # bytes as they are; text as UTF-8
    NORMAL = "normal"  # text as PostgreSQL writes the type; the expected text is cast by PostgreSQL itself


@dataclass(frozen=True, slots=True)
class Read:
    """SQL expressions over a target column. `value` gives int8 or bytea; `text` feeds digests of the BYTES form
    (several texts are joined first and encoded once), None where `value` is joined as bytea."""

    form: Form
    value: str
    text: str | None = None


_OTHERS = (
    (re.compile(r"(real|float4)"), Kind.REAL),
    (re.compile(r"(numeric|decimal)\b.*"), Kind.DECIMAL),
    (re.compile(r"bytea"), Kind.BLOB),
    (re.compile(r"timestamp *(\( *\d+ *\))?( without time zone)?"), Kind.TIMESTAMP),
    (re.compile(r"date"), Kind.DATE),
    (re.compile(r"(smallint|integer|bigint|int2|int4|int8|int)"), Kind.INTEGER),
)
_PADDED = re.compile(r"(char|character|bpchar) *(\( *\d+ *\))?")


def kind_of(column: ColumnPlan) -> Kind:
    """The kind by which a column is compared.

    Types that PostgreSQL parses from text are compared by their own casts, which round or cut in silence; where a kind
    of ours knows better what is exact, it is used.
    """
    if column.type.kind is not Kind.OTHER:
        return column.type.kind
    sql = " ".join(column.type.sql.lower().split())
    return next((kind for pattern, kind in _OTHERS if pattern.fullmatch(sql)), Kind.OTHER)


def padded(column: ColumnPlan) -> bool:
    """`char(n)`: casting it to text would take trailing blanks away."""
    return column.type.kind in (Kind.OTHER, Kind.TEXT) and bool(_PADDED.fullmatch(column.type.sql.lower().strip()))


def base_type(sql: str) -> str:
    """The type without its modifier, so that a cast neither cuts nor rounds."""
    plain = re.sub(r" *\([^()\"]*\)", "", sql)
    return "varbit" if plain.lower().strip() == "bit" else plain


def form_of(column: ColumnPlan) -> Form:
    """In which form a column is compared."""
    kind = kind_of(column)
    if kind in (Kind.INTEGER, Kind.BOOLEAN, Kind.TIMESTAMP, Kind.DATE, Kind.EPOCH):
        return Form.INT8
    if kind is Kind.REAL:
        return Form.FLOAT8
    return Form.NORMAL if kind in (Kind.JSONB, Kind.OTHER) and not padded(column) else Form.BYTES


def read(column: ColumnPlan) -> Read:
    """How to read a target column."""
    x = pg_ident(column.target)
    kind = kind_of(column)
    form = form_of(column)
    if kind is Kind.BOOLEAN:
        return Read(form, f"{x}::int::int8")
    if kind in (Kind.TIMESTAMP, Kind.EPOCH):
        micros = f"(extract(epoch from {x})*1000000)::int8"
        return Read(form, f"case when isfinite({x}) then {micros} when {x} is not null then {OUT_OF_RANGE} end")
    if kind is Kind.DATE:
        days = f"({x}-date '1970-01-01')::int8"
        return Read(form, f"case when isfinite({x}) then {days} when {x} is not null then {OUT_OF_RANGE} end")
    if form is Form.INT8:
        return Read(form, f"{x}::int8")
    if form is Form.FLOAT8:
        return Read(form, f"float8send({x}::float8)")
    if kind in (Kind.BLOB, Kind.MIXED_BYTEA):
        return Read(form, x)
    if padded(column):
        return Read(form, f"bpcharsend({x})")
    text = f"trim_scale({x}::numeric)::text" if kind is Kind.DECIMAL else f"{x}::text"
    return Read(form, f"convert_to({text},'UTF8')", text)

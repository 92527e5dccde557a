"""What is known about a translated expression, and the conversions between the forms a value can have."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from stepflow_tui.engine.model.schema import Affinity
from stepflow_tui.engine.model.types import DateForm, EpochUnit
from stepflow_tui.engine.plan.quote import pg_literal

EXACT = 2**53
"""Integers up to here are doubles without loss."""

C = 'collate "C"'
"""PostgreSQL's byte order: SQLite's BINARY on a UTF-8 file. Its lower() and upper() fold ASCII only, as SQLite's do."""


class Untranslatable(Exception):
    """The expression has no PostgreSQL form that surely means the same; `str()` is the reason."""


class Sort(StrEnum):
    """In which form a value stands in PostgreSQL, and thereby which storage class SQLite gives it."""

    NULL = "null"  # the constant
    INT = "integer"
    REAL = "real"
    DECIMAL = "decimal"  # numeric: integers or reals in SQLite
    BOOL = "boolean"  # 0 or 1 in SQLite
    TEXT = "text"
    MIXED = "mixed"  # text in PostgreSQL, numbers or text in SQLite
    BLOB = "blob"
    TIMESTAMP = "timestamp"  # text of one form in SQLite
    DATE = "date"  # YYYY-MM-DD text in SQLite
    EPOCH = "epoch"  # timestamp in PostgreSQL, an integer in SQLite
    OPAQUE = "opaque"  # only NULL or not is known


NUMBERS = frozenset({Sort.INT, Sort.REAL, Sort.DECIMAL, Sort.BOOL, Sort.EPOCH})
NUMERIC_AFFINITY = frozenset({Affinity.INTEGER, Affinity.REAL, Affinity.NUMERIC})


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One translated expression. `sql` can stand as an operand anywhere (compound ones carry their parentheses).

    `affinity` None: an expression without affinity. `narrow`: PostgreSQL computes with it as a 4-byte integer.
    `finite`: a REAL that is surely no infinity. `integer_sql`: the same as an integer, of a text that renders one.
    """

    sql: str
    sort: Sort
    affinity: Affinity | None = None
    collation: str | None = None
    explicit_collation: bool = False
    constant: int | float | str | bytes | None = None
    is_constant: bool = False
    immutable: bool = True
    narrow: bool = False
    finite: bool = False
    form: DateForm | None = None
    unit: EpochUnit | None = None
    integer_sql: str | None = None
    renders: bool = (
        True  # MIXED: its text is SQLite's own rendering (no reals in it); DECIMAL: it is a column's exact value
    )

    @property
    def plain(self) -> Value:
        """The same without affinity and collation, as an expression around it has none."""
        return replace(self, affinity=None, collation=None, explicit_collation=False)


def number_text(text: str) -> int | float | None:
    """The number that numeric affinity would make of a text, None if it stays text."""
    if re.fullmatch(r"[ \t\n\r\f\v]*[+-]?\d+[ \t\n\r\f\v]*", text, re.ASCII):
        value = int(text)
        return value if -(2**63) <= value < 2**63 else float(text)
    if re.fullmatch(r"[ \t\n\r\f\v]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t\n\r\f\v]*", text, re.ASCII):
        return float(text)
    return None


def constant(value: int | float | str | bytes | None) -> Value:
    """A constant of that storage class."""
    if value is None:
        return Value(sql="null", sort=Sort.NULL, is_constant=True)
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, int):
        return Value(sql=_int_sql(value), sort=Sort.INT, constant=value, is_constant=True, narrow=abs(value) < 2**31)
    if isinstance(value, float):
        finite = abs(value) != float("inf")
        return Value(sql=_real_sql(value), sort=Sort.REAL, constant=value, is_constant=True, finite=finite)
    if isinstance(value, bytes):
        return Value(sql=f"'\\x{value.hex()}'::bytea", sort=Sort.BLOB, constant=value, is_constant=True)
    if "\x00" in value:
        raise Untranslatable("a text with a NUL character, which PostgreSQL can't hold")
    return Value(sql=pg_literal(value).strip(), sort=Sort.TEXT, constant=value, is_constant=True)


def _int_sql(value: int) -> str:
    if value == -(2**63):
        return "'-9223372036854775808'::bigint"
    return f"({value})" if value < 0 else str(value)


def _real_sql(value: float) -> str:
    if abs(value) == float("inf"):
        return "'Infinity'::float8" if value > 0 else "'-Infinity'::float8"
    return f"'{value!r}'::float8"


def truth(value: Value) -> str:
    """The value as a condition: boolean SQL with SQLite's three values."""
    if value.sort is Sort.BOOL:
        return value.sql
    if value.sort is Sort.NULL:
        return "null::boolean"
    if value.is_constant and value.sort in (Sort.INT, Sort.REAL):
        return "true" if value.constant else "false"
    if value.sort in NUMBERS:
        return f"({number(value)} <> 0)"
    raise Untranslatable(f"a {value.sort.value} used as a condition")


def condition(sql: str, *values: Value) -> Value:
    """A boolean expression made of values."""
    return Value(sql=sql, sort=Sort.BOOL, immutable=all(v.immutable for v in values))


def number(value: Value) -> str:
    """A number as PostgreSQL computes with it: bigint, float8 or numeric."""
    if value.sort in (Sort.INT, Sort.REAL, Sort.DECIMAL):
        return value.sql
    if value.sort is Sort.BOOL:
        return f"{value.sql}::int"
    if value.sort is Sort.EPOCH:
        factor = {EpochUnit.SECONDS: "", EpochUnit.MILLIS: " * 1000", EpochUnit.MICROS: " * 1000000"}.get(value.unit)  # type: ignore[arg-type]
        if factor is None:
            raise Untranslatable("a date stored as a number of another origin")
        return f"(extract(epoch from {value.sql}){factor})::bigint"
    if value.integer_sql is not None:
        return value.integer_sql
    raise Untranslatable(f"a {value.sort.value} used as a number")


_TO_CHAR = {0: "YYYY-MM-DD HH24:MI:SS", 3: "YYYY-MM-DD HH24:MI:SS.MS", 6: "YYYY-MM-DD HH24:MI:SS.US"}


def text(value: Value) -> Value:
    """The value as SQLite would write it as text."""
    if value.sort is Sort.TEXT:
        return value
    if value.sort is Sort.NULL:
        return replace(value, sql="null::text", sort=Sort.TEXT)
    if value.is_constant and value.sort is Sort.INT:
        return replace(constant(str(value.constant)), affinity=value.affinity)
    made = replace(value, sort=Sort.TEXT, is_constant=False, constant=None, narrow=False)
    if value.sort in (Sort.INT, Sort.BOOL):
        return replace(made, sql=f"{number(value)}::text")
    if value.sort is Sort.EPOCH:
        return replace(made, sql=f"{number(value)}::text", immutable=False)
    if value.sort is Sort.MIXED and value.renders:
        return made
    if value.sort is Sort.DATE:
        return replace(made, sql=f"to_char({value.sql}, 'YYYY-MM-DD')", immutable=False)
    if value.sort is Sort.TIMESTAMP and value.form is not None:
        pattern = _TO_CHAR[value.form.digits].replace(" ", '"T"' if value.form.with_t else " ")
        return replace(made, sql=f"to_char({value.sql}, '{pattern}')", immutable=False)
    raise Untranslatable(f"the text of a {value.sort.value}, which the two databases write differently")

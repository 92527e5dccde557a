"""Comparisons: SQLite's affinity and collation rules, applied beforehand to operands whose form is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from stepflow_tui.engine.model.schema import Affinity
from stepflow_tui.engine.model.types import DateForm
from stepflow_tui.engine.plan.translate.scopes import numeric
from stepflow_tui.engine.plan.translate.values import (
    EXACT,
    NUMBERS,
    C,
    Sort,
    Untranslatable,
    Value,
    condition,
    constant,
    number,
    number_text,
    text,
)

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_EQUALITY = ("=", "<>")
_NOT_A_NUMBER_BUT_RENDERED = frozenset({"inf", "-inf", "nan"})


@dataclass(frozen=True, slots=True)
class Pair:
    """Two operands ready for one operator; the operator may have changed on the way."""

    left: str
    op: str
    right: str


def compare(op: str, left: Value, right: Value) -> Value:
    """`left op right` for = <> < <= > >=.

    Raises:
        Untranslatable: the two databases may disagree.
    """
    if Sort.NULL in (left.sort, right.sort):
        return condition("null::boolean")
    simple = _boolean(op, left, right) or _boolean(_FLIPPED[op], right, left)
    if simple is not None:
        return condition(simple, left, right)
    pair = operands(op, left, right)
    return condition(f"({pair.left} {pair.op} {pair.right})", left, right)


def same(left: Value, right: Value, *, negated: bool) -> Value:
    """`left IS [NOT] right`."""
    word = "is not" if negated else "is"
    if right.sort is Sort.NULL:
        return condition(f"({left.sql} {word} null)", left)
    if left.sort is Sort.NULL:
        return condition(f"({right.sql} {word} null)", right)
    pair = operands("=", left, right)
    op = "is distinct from" if negated else "is not distinct from"
    return condition(f"({pair.left} {op} {pair.right})", left, right)


def _boolean(op: str, left: Value, right: Value) -> str | None:
    """A boolean against 0 or 1 reads as itself or its opposite."""
    if left.sort is not Sort.BOOL or not right.is_constant or op not in _EQUALITY:
        return None
    if right.constant not in (0, 1) or right.sort is not Sort.INT:
        return None
    return left.sql if (right.constant == 1) == (op == "=") else f"(not {left.sql})"


def operands(op: str, left: Value, right: Value) -> Pair:
    """The operands of a comparison, converted as SQLite's affinities would.

    Raises:
        Untranslatable: the two databases may disagree.
    """
    left, right = _affinity(left, right), _affinity(right, left)
    if left.sort in NUMBERS and right.sort in NUMBERS:
        return _numbers(op, left, right)
    if left.sort is Sort.TEXT and right.sort is Sort.TEXT:
        return _texts(op, left, right)
    if left.sort is Sort.MIXED or right.sort is Sort.MIXED:
        return _mixed(op, left, right)
    if left.sort is Sort.BLOB and right.sort is Sort.BLOB:
        return Pair(left.sql, op, right.sql)
    if left.sort in (Sort.TIMESTAMP, Sort.DATE):
        return _moments(op, left, right)
    if right.sort in (Sort.TIMESTAMP, Sort.DATE):
        flipped = _moments(_FLIPPED[op], right, left)
        return Pair(flipped.right, _FLIPPED[flipped.op], flipped.left)
    raise _differ(left, right)


def _differ(left: Value, right: Value) -> Untranslatable:
    return Untranslatable(f"a comparison of a {left.sort.value} with a {right.sort.value}")


def _affinity(value: Value, other: Value) -> Value:
    """SQLite converts an operand without affinity to the other's."""
    if numeric(other.affinity) and not numeric(value.affinity) and value.sort is Sort.TEXT and other.sort in NUMBERS:
        found = number_text(str(value.constant)) if value.is_constant else None
        if found is None:
            if value.integer_sql is not None and value.affinity is None:
                return Value(sql=value.integer_sql, sort=Sort.INT, immutable=value.immutable)
            raise _differ(other, value)
        return constant(found)
    if other.affinity is Affinity.TEXT and value.affinity is None and value.sort in NUMBERS and other.sort is Sort.TEXT:
        return text(value).plain
    return value


def _numbers(op: str, left: Value, right: Value) -> Pair:
    return Pair(_number_beside(left, right), op, _number_beside(right, left))


def _number_beside(value: Value, other: Value) -> str:
    """A number's SQL such that PostgreSQL compares it with the other exactly, as SQLite does."""
    sorts = {value.sort, other.sort}
    if Sort.REAL not in sorts or value.sort is other.sort or Sort.DECIMAL in sorts:
        if value.sort is Sort.REAL and value.is_constant and other.sort is Sort.DECIMAL:
            return _decimal_literal(value)
        if value.sort is Sort.DECIMAL and other.sort is Sort.REAL and not other.is_constant:
            return f"{value.sql}::float8"
        return number(value)
    if value.is_constant:
        assert isinstance(value.constant, int | float)
        if value.sort is Sort.INT and abs(value.constant) <= EXACT:
            return f"'{value.constant}'::float8"
        if value.sort is Sort.REAL and abs(value.constant) <= EXACT:
            return _plain_decimal(value.constant)
        raise _differ(value, other)
    if other.is_constant or Sort.BOOL in sorts:
        return f"{number(value)}::float8" if value.sort is Sort.BOOL else number(value)
    if (value.sort is Sort.INT and value.narrow) or (other.sort is Sort.INT and other.narrow):
        return f"{value.sql}::float8"
    raise Untranslatable("a comparison of an integer with a real, exact beyond 2^53 in SQLite only")


def _decimal_literal(value: Value) -> str:
    assert isinstance(value.constant, float)
    if abs(value.constant) > 1e15 or len(Decimal(repr(value.constant)).as_tuple().digits) > 15:
        raise Untranslatable("a comparison of a decimal with a number of more than 15 digits")
    return _plain_decimal(value.constant)


def _plain_decimal(value: float) -> str:
    """The exact value of a double as a numeric constant."""
    written = format(Decimal(repr(value)), "f")
    return f"({written})" if written.startswith("-") else written


def collation_of(left: Value, right: Value) -> str:
    """The collation of a comparison: an explicit one, the left one's, the right one's, BINARY."""
    for value in (left, right):
        if value.explicit_collation and value.collation:
            return value.collation
    for value in (left, right):
        if value.collation:
            return value.collation
    return "BINARY"


def folded(sql: str, collation: str) -> str:
    """A text such that byte equality means equality under that collation of SQLite.

    Raises:
        Untranslatable: a collation the application brought along.
    """
    if collation == "BINARY":
        return sql
    if collation == "NOCASE":
        return f"lower({sql} {C})"
    if collation == "RTRIM":
        return f"rtrim({sql}, ' ')"
    raise Untranslatable(f"the collation {collation}, which only the application has")


def _texts(op: str, left: Value, right: Value) -> Pair:
    collation = collation_of(left, right)
    a, b = folded(left.sql, collation), folded(right.sql, collation)
    return Pair(a, op, b) if op in _EQUALITY else Pair(f"{a} {C}", op, f"{b} {C}")


def _mixed(op: str, left: Value, right: Value) -> Pair:
    if op not in _EQUALITY:
        raise Untranslatable("the order of a column that holds numbers and text")
    if collation_of(left, right) != "BINARY":
        raise Untranslatable("a column of numbers and text under another collation than BINARY")
    return Pair(_mixed_operand(left, right), op, _mixed_operand(right, left))


def _mixed_operand(value: Value, other: Value) -> str:
    if value.sort is Sort.MIXED:
        if other.sort is Sort.MIXED and not (numeric(value.affinity) and numeric(other.affinity)):
            raise Untranslatable("a comparison of two columns of numbers and text without the same affinity")
        return value.sql
    if value.sort is Sort.INT and other.affinity in (Affinity.INTEGER, Affinity.NUMERIC):
        return text(value).sql  # whole numbers are integers there, and text never looks like one
    if not value.is_constant or value.sort not in (Sort.INT, Sort.TEXT) or value.affinity is not None:
        raise _differ(other, value)
    found = value.constant if value.sort is Sort.INT else number_text(str(value.constant))
    if numeric(other.affinity) and isinstance(found, int):
        return constant(str(found)).sql
    if found is None and str(value.constant) not in _NOT_A_NUMBER_BUT_RENDERED:
        return value.sql
    raise Untranslatable("a comparison of a column of numbers and text with a number")


def _moments(op: str, left: Value, right: Value) -> Pair:
    if right.sort is left.sort and right.form is left.form:
        return Pair(left.sql, op, right.sql)
    if right.sort is not Sort.TEXT or not right.is_constant:
        raise _differ(left, right)
    written = str(right.constant)
    if left.sort is Sort.DATE:
        if not is_moment(written, None):
            raise _differ(left, right)
        return Pair(left.sql, op, f"{right.sql}::date")
    if left.form is not None and is_moment(written, left.form):
        return Pair(left.sql, op, f"{right.sql}::timestamp")
    if is_moment(written, None) and op in ("<", "<=", ">", ">="):
        # in text order a date alone stands before every moment of that day
        return Pair(left.sql, {"<=": "<", ">": ">="}.get(op, op), f"{right.sql}::timestamp")
    raise _differ(left, right)


def is_moment(written: str, form: DateForm | None) -> bool:
    """Whether a text is a valid date, or moment of that form, between the years 1 and 9999."""
    if not written.isascii():
        return False
    try:
        if form is None:
            return len(written) == 10 and date.fromisoformat(written).isoformat() == written
        separator = "T" if form.with_t else " "
        unit = {0: "seconds", 3: "milliseconds", 6: "microseconds"}[form.digits]
        return datetime.fromisoformat(written).isoformat(separator, unit) == written
    except ValueError:
        return False

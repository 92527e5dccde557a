"""Arithmetic: integers stay integers, division by zero is NULL, infinities never become NaN."""

from __future__ import annotations

from stepflow_tui.engine.plan.translate.values import Sort, Untranslatable, Value, constant, number

_INTEGERS = frozenset({Sort.INT, Sort.BOOL, Sort.EPOCH})


def minus(value: Value) -> Value:
    """`-value`; of a constant at once."""
    if value.is_constant and isinstance(value.constant, int | float):
        negative = -value.constant
        return constant(negative if -(2**63) <= negative < 2**63 else float(negative))
    if value.sort is Sort.NULL:
        return value.plain
    value = _known(value)
    sort = Sort.INT if value.sort in _INTEGERS else value.sort
    return Value(sql=f"(- {_wide(value)})", sort=sort, immutable=value.immutable, finite=value.finite)


def _wide(value: Value) -> str:
    sql = number(value)
    return f"{sql}::bigint" if value.narrow or value.sort is Sort.BOOL else sql


def arithmetic(op: str, left: Value, right: Value) -> Value:
    """`left op right` for + - * / %.

    Raises:
        Untranslatable: the operands' class isn't known, and the operator depends on it.
    """
    if Sort.NULL in (left.sort, right.sort):
        return Value(sql="null::bigint", sort=Sort.INT)
    immutable = left.immutable and right.immutable
    left, right = _known(left), _known(right)
    if left.sort in _INTEGERS and right.sort in _INTEGERS:
        return Value(sql=_integers(op, left, right), sort=Sort.INT, immutable=immutable)
    if op == "%":
        raise Untranslatable("the remainder of numbers that aren't integers")
    if op == "/" and Sort.REAL not in (left.sort, right.sort):
        raise Untranslatable("a division of decimals, which SQLite does as integers where both are whole")
    return _reals(op, left, right, immutable)


def _known(value: Value) -> Value:
    if value.integer_sql is not None:
        return Value(sql=value.integer_sql, sort=Sort.INT, immutable=value.immutable)
    number(value)  # raises for what is no number
    return value


def _integers(op: str, left: Value, right: Value) -> str:
    a = _wide(left) if right.narrow or right.sort is Sort.BOOL else number(left)
    b = number(right)
    if op in ("/", "%"):
        b = b if right.is_constant and right.constant else f"nullif({b}, 0)"
    return f"({a} {op} {b})"


def _reals(op: str, left: Value, right: Value, immutable: bool) -> Value:
    a, b = _double(left), _double(right)
    if op == "/":
        b = b if right.is_constant and right.constant else f"nullif({b}, 0)"
    finite = _finite(left) and _finite(right)
    one_finite = _nonzero(left) or _nonzero(right) if op in ("*", "/") else _finite(left) or _finite(right)
    sql = f"({a} {op} {b})"
    # only infinities among themselves, or with zero, give NaN, which SQLite stores as NULL
    sql = sql if one_finite or finite else f"nullif({sql}, 'NaN'::float8)"
    # without a real operand SQLite may stay with integers: the class of the result isn't known
    sort = Sort.REAL if Sort.REAL in (left.sort, right.sort) else Sort.DECIMAL
    return Value(sql=sql, sort=sort, immutable=immutable, renders=False)


def _double(value: Value) -> str:
    if value.sort is Sort.REAL:
        return value.sql
    if value.is_constant and isinstance(value.constant, int):
        return f"'{value.constant}'::float8"
    return f"{number(value)}::float8"


def _finite(value: Value) -> bool:
    return value.finite or value.sort is not Sort.REAL


def _nonzero(value: Value) -> bool:
    return value.is_constant and bool(value.constant) and _finite(value)


def bits(op: str, left: Value, right: Value | None) -> Value:
    """`~left`, `left & right`, `left | right`; shifts by constants."""
    for operand in (left, right):
        if operand is not None and operand.sort not in _INTEGERS and operand.integer_sql is None:
            raise Untranslatable("bit operations on what isn't an integer")
    if right is None:
        return Value(sql=f"(~ {_wide(left)})", sort=Sort.INT, immutable=left.immutable)
    immutable = left.immutable and right.immutable
    if op in ("<<", ">>"):
        if not (right.is_constant and isinstance(right.constant, int) and 0 <= right.constant < 64):
            raise Untranslatable("a shift by a number that isn't constant")
        return Value(sql=f"({_bigint(left)} {op} {right.constant})", sort=Sort.INT, immutable=immutable)
    return Value(sql=f"({_bigint(left)} {op} {_bigint(right)})", sort=Sort.INT, immutable=immutable)


def _bigint(value: Value) -> str:
    sql = number(value)
    return sql if value.sort is Sort.INT and not value.narrow else f"{sql}::bigint"

"""Aggregates of views and trigger bodies."""

from __future__ import annotations

from collections.abc import Callable

from stepflow_tui.engine.plan.sqltext.nodes import Call
from stepflow_tui.engine.plan.translate.values import NUMBERS, C, Sort, Untranslatable, Value, number, text

AGGREGATES = frozenset({"count", "sum", "total", "avg", "min", "max", "group_concat", "string_agg"})


def aggregate(node: Call, arguments: list[Value], condition: str | None, *, utf16: bool) -> Value:
    """An aggregate call; its arguments are translated, `condition` is that of its FILTER clause.

    Raises:
        Untranslatable: its result would differ.
    """
    kept = f" filter (where {condition})" if condition is not None else ""
    if node.name == "count" and not arguments:
        return Value(sql=f"count(*){kept}", sort=Sort.INT, immutable=False)
    value = arguments[0]
    if node.distinct and (value.collation not in (None, "BINARY") or value.sort in (Sort.OPAQUE, Sort.REAL)):
        raise Untranslatable("DISTINCT over values whose equality differs")
    word = "distinct " if node.distinct else ""
    if node.name in ("min", "max"):
        return _extreme(node.name, value, kept, utf16)
    if node.name in ("group_concat", "string_agg"):
        return _concatenated(arguments, word, kept)
    maker = _SIMPLE[node.name]
    return maker(value, word, kept)


def _count(value: Value, word: str, kept: str) -> Value:
    return Value(sql=f"count({word}{value.sql}){kept}", sort=Sort.INT, immutable=False)


def _sum(value: Value, word: str, kept: str) -> Value:
    sort = Sort.INT if value.sort in (Sort.INT, Sort.BOOL, Sort.EPOCH) else value.sort
    if value.sort not in NUMBERS:
        raise Untranslatable(f"sum() of a {value.sort.value}")
    sql = f"sum({word}{number(value)}){kept}"
    return Value(sql=f"({sql})::bigint" if sort is Sort.INT else sql, sort=sort, immutable=False)


def _double(value: Value, word: str, kept: str, name: str) -> str:
    if value.sort not in NUMBERS:
        raise Untranslatable(f"{name}() of a {value.sort.value}")
    return f"{'sum' if name == 'total' else name}({word}({number(value)})::float8){kept}"


def _total(value: Value, word: str, kept: str) -> Value:
    return Value(sql=f"coalesce({_double(value, word, kept, 'total')}, 0)", sort=Sort.REAL, immutable=False)


def _avg(value: Value, word: str, kept: str) -> Value:
    return Value(sql=_double(value, word, kept, "avg"), sort=Sort.REAL, immutable=False)


_SIMPLE: dict[str, Callable[[Value, str, str], Value]] = {"count": _count, "sum": _sum, "total": _total, "avg": _avg}


def _extreme(name: str, value: Value, kept: str, utf16: bool) -> Value:
    if value.sort in (Sort.MIXED, Sort.OPAQUE) or value.collation not in (None, "BINARY"):
        raise Untranslatable(f"{name}() of values whose order differs")
    sort, sql = value.sort, value.sql
    if value.sort is Sort.TEXT:
        if utf16:
            raise Untranslatable("the order of text in a UTF-16 file")
        sql = f"{sql} {C}"
    if value.sort is Sort.BOOL:
        sort, sql = Sort.INT, number(value)
    if value.sort is Sort.BLOB:
        raise Untranslatable(f"{name}() of binary values")
    return Value(sql=f"{name}({sql}){kept}", sort=sort, form=value.form, unit=value.unit, immutable=False)


def _concatenated(arguments: list[Value], word: str, kept: str) -> Value:
    separator = arguments[1] if len(arguments) > 1 else None
    if separator is not None and not isinstance(separator.constant, str):
        raise Untranslatable("group_concat() with a separator that isn't constant")
    sql = f"string_agg({word}{text(arguments[0]).sql}, {separator.sql if separator is not None else chr(39) + ',' + chr(39)}){kept}"
    return Value(sql=sql, sort=Sort.TEXT, immutable=False)

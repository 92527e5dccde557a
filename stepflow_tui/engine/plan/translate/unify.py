"""Several values that become one column of a result: CASE, COALESCE, compound selects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stepflow_tui.engine.plan.translate.values import Sort, Untranslatable, Value, number, text

_NULLS = {
    Sort.INT: "bigint", Sort.REAL: "float8", Sort.DECIMAL: "numeric", Sort.BOOL: "boolean", Sort.TEXT: "text", Sort.MIXED: "text",
    Sort.BLOB: "bytea", Sort.TIMESTAMP: "timestamp", Sort.DATE: "date", Sort.EPOCH: "timestamp", Sort.NULL: "text",
}  # fmt: skip


def unify(values: Sequence[Value]) -> tuple[Value, list[str]]:
    """What the values have in common, and each one's SQL in that form. The common value has no affinity of its own.

    Raises:
        Untranslatable: the values have different storage classes, which a PostgreSQL column can't mix.
    """
    target = _target([v for v in values if v.sort is not Sort.NULL])
    sqls = [_as(v, target) for v in values]
    made = replace(
        target,
        sql="",
        affinity=None,
        collation=None,
        explicit_collation=False,
        is_constant=False,
        constant=None,
        integer_sql=None,
        immutable=all(v.immutable for v in values),
        narrow=all(v.narrow for v in values if v.sort is not Sort.NULL),
        renders=all(v.renders for v in values),
    )
    return made, sqls


def _target(values: list[Value]) -> Value:
    if not values:
        return Value(sql="null", sort=Sort.NULL)
    sorts = {v.sort for v in values}
    if Sort.OPAQUE in sorts:
        raise Untranslatable("a column whose values PostgreSQL writes in its own way")
    if len(sorts) == 1:
        forms = {(v.form, v.unit) for v in values}
        if len(forms) > 1:
            raise Untranslatable("dates of different forms in one result")
        return values[0]
    if sorts == {Sort.BOOL, Sort.INT}:
        bits = all(v.sort is Sort.BOOL or (v.is_constant and v.constant in (0, 1)) for v in values)
        return next(v for v in values if v.sort is (Sort.BOOL if bits else Sort.INT))
    if sorts <= {Sort.TEXT, Sort.MIXED, Sort.INT, Sort.BOOL} and Sort.MIXED in sorts:
        if Sort.BOOL in sorts:
            raise Untranslatable("numbers and text in one result")
        return next(v for v in values if v.sort is Sort.MIXED)
    raise Untranslatable(f"values of different classes in one result ({', '.join(sorted(s.value for s in sorts))})")


def _as(value: Value, target: Value) -> str:
    if value.sort is Sort.NULL:
        return f"null::{_NULLS[target.sort]}"
    if value.sort is target.sort:
        return value.sql
    if target.sort is Sort.BOOL:
        return "true" if value.constant else "false"
    if target.sort is Sort.INT:
        return number(value)
    if target.sort is Sort.MIXED:
        return text(value).sql
    raise Untranslatable("values of different classes in one result")

"""`verify.rules` for the tables of a plan: which columns are left out, and how far values may lie apart. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.model.config import VerifyRule
from stepflow_tui.engine.model.config_units import parse_duration
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.verify.expected import Wrong
from stepflow_tui.engine.verify.forms import OUT_OF_RANGE, kind_of
from stepflow_tui.engine.verify.naming import Content, Found

_NUMBERS = (Kind.INTEGER, Kind.REAL, Kind.DECIMAL)
_TIMES = (Kind.TIMESTAMP, Kind.EPOCH, Kind.DATE)
Near = Callable[[int | bytes, int | bytes], bool]
"""Whether two values in their column's form lie near enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRules:
    """The rules of one table.

    `excluded` are source names of columns; `near` says by source name when two values count as the same; `not_proven`
    names for people what is not proven because of them, "" without rules.
    """

    excluded: frozenset[str] = frozenset()
    near: Mapping[str, Near] = field(default_factory=dict)
    not_proven: str = ""

    def within(self, columns: Sequence[ColumnPlan], content: Content, found: Found) -> Content:
        """The expected content, with the target's value wherever that lies within its tolerance."""
        if not self.near:
            return content
        return tuple(
            b if _comparable(a, b) and (near := self.near.get(c.source)) is not None and near(a, b) else a  # type: ignore[arg-type]
            for c, a, b in zip(columns, content, found, strict=True)
        )


NO_RULES = TableRules()
"""Every value of every column, exactly."""


def _comparable(expected: object, found: object) -> bool:
    return expected is not None and found is not None and not isinstance(expected, Wrong)


def table_rules(rules: Mapping[str, VerifyRule], tables: Sequence[TablePlan]) -> dict[str, TableRules]:
    """The rules of each table that has any, by source name. Names are compared as SQLite does.

    Args:
        rules: `verify.rules`.
        tables: the tables as planned.

    Raises:
        UsageError: rules that can't be kept: no such table or column, a key column, a tolerance that doesn't fit the type.
    """
    known = {t.source.lower(): t for t in tables}
    problems: list[str] = []
    found: dict[str, TableRules] = {}
    for name, rule in rules.items():
        table = known.get(name.lower())
        if table is None:
            problems.append(f"{name}: no such table")
        elif made := _compiled(table, rule, problems):
            found[table.source] = made
    if problems:
        raise UsageError(
            "`verify.rules` can't be kept.",
            detail="\n".join(problems),
            hint="Correct these lines of the config: key columns are always compared; numbers take 0.01 or 0.1%, times 500ms.",
            code="verify_rules",
        )
    return found


def _compiled(table: TablePlan, rule: VerifyRule, problems: list[str]) -> TableRules | None:
    columns = {c.source.lower(): c for c in table.columns}
    keys = {k.lower() for k in (*table.live_key, *table.compare.columns)}
    before = len(problems)
    near: dict[str, Near] = {}
    for name in (*rule.exclude, *rule.tolerance):
        if name.lower() not in columns:
            problems.append(f"{table.source}.{name}: no such column")
        elif name.lower() in keys:
            problems.append(f"{table.source}.{name}: a key column")
    for name, margin in rule.tolerance.items():
        column = columns.get(name.lower())
        made = near_by(column, margin) if column is not None else None
        if column is not None and made is None:
            problems.append(f"{table.source}.{name}: {margin} does not fit the type {column.type.sql}")
        elif column is not None and made is not None:
            near[column.source] = made
    if len(problems) > before:
        return None
    excluded = [columns[n.lower()].source for n in rule.exclude]
    return TableRules(excluded=frozenset(excluded), near=near, not_proven=rule.not_proven)


def near_by(column: ColumnPlan, margin: str) -> Near | None:
    """The test for one column; None where such a margin does not fit its type.

    Args:
        column: its plan.
        margin: `0.01` (absolute), `0.1%` (of the larger value), `500ms` (times).
    """
    kind = kind_of(column)
    if margin.endswith("%"):
        share = Fraction(margin.rstrip("% ")) / 100
        return _numbers(kind, lambda a, b: abs(a - b) <= share * max(abs(a), abs(b))) if kind in _NUMBERS else None
    if margin[-1].isdigit():
        most = Fraction(margin)
        return _numbers(kind, lambda a, b: abs(a - b) <= most) if kind in _NUMBERS else None
    if kind not in _TIMES:
        return None
    unit = 86_400 if kind is Kind.DATE else Fraction(1, 1_000_000)
    seconds = Fraction(Decimal(repr(parse_duration(margin))))
    return lambda a, b: _times(a, b) and abs(int(a) - int(b)) * unit <= seconds


def _times(a: int | bytes, b: int | bytes) -> bool:
    return isinstance(a, int) and isinstance(b, int) and OUT_OF_RANGE not in (a, b)


def _numbers(kind: Kind, near: Callable[[Fraction, Fraction], bool]) -> Near:
    def test(a: int | bytes, b: int | bytes) -> bool:
        numbers = _number(a, kind), _number(b, kind)
        return numbers[0] is not None and numbers[1] is not None and near(numbers[0], numbers[1])

    return test


def _number(value: int | bytes, kind: Kind) -> Fraction | None:
    """A value in its form as the number it shows; None for infinities and NaN."""
    if isinstance(value, int):
        return Fraction(value)
    if kind is Kind.REAL:
        real = struct.unpack(">d", value)[0]
        # the number people see: 1.01 and 1 are 0.01 apart, though their doubles are a little more
        return Fraction(Decimal(repr(real))) if math.isfinite(real) else None
    number = Decimal(value.decode())
    return Fraction(number) if number.is_finite() else None

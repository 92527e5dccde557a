"""Types of a live run: bounded by what is declared, never by the values of now; and a plan that they don't change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stepflow_tui.engine.model.plan import ColumnPlan, Compare, CompareKind, Plan, TablePlan, Walk, WalkKind
from stepflow_tui.engine.model.schema import Affinity, SourceColumn
from stepflow_tui.engine.model.types import ColumnType, Kind
from stepflow_tui.engine.plan.families import Member, attempts
from stepflow_tui.engine.plan.hashing import plan_hash
from stepflow_tui.engine.plan.profile import profile_sample
from stepflow_tui.engine.plan.types import decide, declared_scale
from stepflow_tui.engine.steps.make_plan import differences
from stepflow_tui.engine.verify.expected import PRECISION, converter

BARE = ColumnType(kind=Kind.DECIMAL, sql="numeric", scale=1)


def chosen(declared: str, values: list[int | float | str | None], *, growing: bool) -> ColumnType:
    column = SourceColumn(name="c", declared=declared, affinity=Affinity.NUMERIC)
    return decide(column, profile_sample(values, declared_scale(column)), growing=growing).type


@pytest.mark.parametrize(
    ("declared", "values", "copied", "live"),
    [
        ("NUMERIC", [1.5, 2], "numeric(15,1)", "numeric"),
        ("DECIMAL(10,2)", [1.25, 3], "numeric(10,2)", "numeric(10,2)"),
        ("DECIMAL(10,2)", [1.255], "numeric(10,3)", "numeric"),
        ("DECIMAL(4,1)", [1000.5], "numeric(15,1)", "numeric"),
        ("NUMERIC", [0.1 + 0.2, 1], "text", "numeric"),
        ("NUMERIC", [1.5, float("inf")], "double precision", "double precision"),
        ("NUMERIC", [1.5, "abc"], "text", "text"),
    ],
)
def test_no_bound_is_taken_from_values_while_others_come(
    declared: str, values: list[int | float | str | None], copied: str, live: str
) -> None:
    assert (chosen(declared, values, growing=False).sql, chosen(declared, values, growing=True).sql) == (copied, live)


def test_an_unbounded_number_is_compared_with_all_its_decimals() -> None:
    column = ColumnPlan(source="c", target="c", declared="NUMERIC", type=BARE)
    assert converter(column)(2.55) == b"2.55"
    narrow = replace(column, type=ColumnType(kind=Kind.DECIMAL, sql="numeric(15,1)", scale=1, precision=15))
    assert converter(narrow)(2.55) is PRECISION


def plan(mode: str, kind: ColumnType, reason: str = "") -> Plan:
    column = ColumnPlan(source="qty", target="qty", declared="NUMERIC", type=kind, reason=reason)
    table = TablePlan(
        source="item", schema="public", name="item", columns=(column,), walk=Walk(kind=WalkKind.SINGLE),
        compare=Compare(kind=CompareKind.MULTISET),
    )  # fmt: skip
    made = Plan(
        hash="", kind="sqlite-to-postgres", mode=mode, schema_hash="s", config_hash="c", encoding="UTF-8",
        tables=(table,), statements=(), objects=(), phases=(), facts={}, name_changes={}, sensitive={},
    )  # fmt: skip
    return replace(made, hash=plan_hash(made))


def test_more_decimals_are_another_plan_only_where_the_column_can_not_hold_them() -> None:
    more = replace(BARE, scale=2)
    assert plan("live", BARE).hash == plan("live", more).hash
    assert differences(plan("live", BARE), plan("live", more)) == []
    narrow = ColumnType(kind=Kind.DECIMAL, sql="numeric(10,2)", scale=2, precision=10)
    [told] = differences(plan("live", narrow), plan("live", BARE, "every value is a number"))
    assert told == "column item.qty: numeric(10,2), now numeric (every value is a number)"
    assert plan("copy", BARE).hash != plan("copy", more).hash  # as it always was there


def test_a_family_with_an_unbounded_number_is_unbounded() -> None:
    numbers = profile_sample([1.5, 2])
    narrow = ColumnType(kind=Kind.DECIMAL, sql="numeric(10,2)", scale=2, precision=10)
    members = [
        Member(ref=("a", "x"), type=BARE, profile=numbers),
        Member(ref=("b", "x"), type=narrow, profile=numbers),
    ]
    assert {t.sql for t in attempts(members)[0]} == {"numeric"}

"""Expressions, selects and triggers: precedence as SQLite's own, nothing silently left out."""

from __future__ import annotations

import random
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepflow_tui.engine.plan.sqltext.expressions import parse_expression
from stepflow_tui.engine.plan.sqltext.nodes import (
    Binary,
    Collate,
    Delete,
    Insert,
    Like,
    Literal,
    Ref,
    Timing,
    Unary,
    Update,
)
from stepflow_tui.engine.plan.sqltext.objects import parse_trigger, parse_view
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError

OPERATORS = ["or", "and", "=", "<>", "is", "is not", "<", ">=", "&", "|", "<<", "+", "-", "*", "/", "%", "||"]


def written(node: object) -> str:
    """A tree with all its parentheses."""
    if isinstance(node, Binary):
        return f"({written(node.left)} {node.op} {written(node.right)})"
    if isinstance(node, Unary):
        return f"({node.op} {written(node.operand)})"
    assert isinstance(node, Literal)
    return str(node.value)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_precedence_is_sqlites(seed: int) -> None:
    rng = random.Random(seed)
    text = str(rng.randrange(5))
    for _ in range(rng.randrange(1, 7)):
        text += f" {rng.choice(OPERATORS)} {rng.choice(['', '- ', '~ ', 'not '])}{rng.randrange(5)}"
    connection = sqlite3.connect(":memory:")
    try:
        try:
            plain = connection.execute(f"select {text}").fetchone()
        except sqlite3.OperationalError:
            return  # `1 + not 2` is no expression
        assert connection.execute(f"select {written(parse_expression(text))}").fetchone() == plain
    finally:
        connection.close()


def test_postfix_forms() -> None:
    tree = parse_expression("a.b not like 'x%' escape '\\' and c collate nocase = \"d\" or e notnull")
    assert isinstance(tree, Binary)
    assert tree.right == Binary("is not", Ref(("e",)), Literal(None, "null"))
    assert isinstance(tree.left, Binary)
    assert isinstance(tree.left.left, Like)
    assert tree.left.left.negated
    assert tree.left.right == Binary("=", Collate(Ref(("c",)), "nocase"), Ref(("d",), '"'))


@pytest.mark.parametrize("sql", ["", "1 +", "a b", "count(*) over ()", "x in t", "(1", "case when 1 end"])
def test_what_is_not_understood_is_refused(sql: str) -> None:
    with pytest.raises(SqlTextError):
        parse_expression(sql)


def test_views_with_everything() -> None:
    view = parse_view(
        "create view v(a, b) as with t(x) as (select 1) select distinct p.*, q.y z from main.p as p, t cross join (select 2 y) q"
        " left outer join r using (a, b) where exists (select 1) group by 1, 2 having count(*) > 1"
        " union all values (1, 2) order by 1 desc nulls last limit 5 offset 2;"
    )
    core = view.select.cores[0][1]
    assert view.columns == ("a", "b")
    assert [s.join for s in core.sources] == ["", "cross", "inner", "left"]
    assert core.sources[-1].using == ("a", "b")
    assert view.select.cores[1][0] == "union all"
    assert view.select.order_by[0].nulls == "last"


@pytest.mark.parametrize("sql", ["select * from a natural join b", "select * from json_each('[]')", "select row_number() over () from a",
                                 "select * from other.t", "select * from (a join b)"])  # fmt: skip
def test_views_beyond_the_grammar_are_refused(sql: str) -> None:
    with pytest.raises(SqlTextError):
        parse_view(f"create view v as {sql}")


def test_triggers() -> None:
    trigger = parse_trigger(
        "create temp trigger if not exists x.tr instead of update of a, b on v for each row when new.a is not old.a begin"
        " insert or ignore into t values (new.a); update t set a = 1, b = (select 2) where a = old.a; delete from t; select raise(ignore);"
        " end"
    )
    assert (trigger.name, trigger.timing, trigger.event, trigger.of, trigger.table) == (
        "tr",
        Timing.INSTEAD,
        "update",
        ("a", "b"),
        "v",
    )
    assert [type(a) for a in trigger.body[:3]] == [Insert, Update, Delete]

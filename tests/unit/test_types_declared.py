"""Declared types as people write them."""

from __future__ import annotations

import pytest

from stepflow_tui.engine.model.schema import Affinity
from stepflow_tui.engine.plan.declared import Ask, affinity, empty_type, normalised, parse


@pytest.mark.parametrize(
    ("declared", "ask", "args"),
    [
        ("double precision", Ask.REAL, ()),
        ("NUMERIC(10,2)", Ask.DECIMAL, (10, 2)),
        ("numeric ( 10 , 2 )", Ask.DECIMAL, (10, 2)),
        ("DECIMAL(10", Ask.DECIMAL, (10,)),
        ("VARCHAR(255)", Ask.TEXT, (255,)),
        ("Unsigned Big Int", Ask.INTEGER, ()),
        ("INTEGER_OR_TEXT", Ask.INTEGER, ()),
        ("FLOATING POINT", Ask.INTEGER, ()),  # SQLite sees INT in it
        ("TIMESTAMP WITH TIME ZONE", Ask.TIMESTAMPTZ, ()),
        ("timestamp(3) without time zone", Ask.TIMESTAMP, (3,)),
        ("TIME WITH TIME ZONE", Ask.TIME, ()),
        ("DATETIME", Ask.TIMESTAMP, ()),
        ("date", Ask.DATE, ()),
        ("bool", Ask.BOOLEAN, ()),
        ("STRING", Ask.NOTHING, ()),
        ("ANY", Ask.NOTHING, ()),
        ("", Ask.NOTHING, ()),
        ("(((", Ask.NOTHING, ()),
        ("weird(type, 3) stuff", Ask.NOTHING, (3,)),
        ("JSONB", Ask.JSONB, ()),
        ("uniqueidentifier", Ask.UUID, ()),
    ],
)
def test_any_text_is_a_type(declared: str, ask: Ask, args: tuple[int, ...]) -> None:
    parsed = parse(declared)
    assert parsed.ask is ask
    assert parsed.args == args


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("CHARINT", Affinity.INTEGER),
        ("POINT", Affinity.INTEGER),
        ("nvarchar(3)", Affinity.TEXT),
        ("CLOB", Affinity.TEXT),
        ("", Affinity.BLOB),
        ("BLOB", Affinity.BLOB),
        ("double", Affinity.REAL),
        ("DATETIME", Affinity.NUMERIC),
        ("STRING", Affinity.NUMERIC),
    ],
)
def test_affinity_follows_sqlites_five_rules(declared: str, expected: Affinity) -> None:
    assert affinity(declared) is expected


@pytest.mark.parametrize(
    ("declared", "sql"),
    [
        ("INTEGER", "bigint"),
        ("BOOLEAN", "boolean"),
        ("DATETIME", "timestamp"),
        ("DATE", "date"),
        ("DECIMAL(10,2)", "numeric(10,2)"),
        ("NUMERIC(7)", "numeric(7,0)"),
        ("NUMERIC", "numeric"),
        ("NUMERIC(2,5)", "numeric"),
        ("DECIMAL(30,20)", "numeric"),
        ("FLOAT", "double precision"),
        ("BLOB", "bytea"),
        ("", "text"),
        ("JSON", "text"),
        ("UUID", "text"),
        ("STRING", "text"),
    ],
)
def test_an_empty_column_gets_what_it_was_declared(declared: str, sql: str) -> None:
    assert empty_type(declared).sql == sql


def test_declared_types_compare_without_case_and_blanks() -> None:
    assert normalised("numeric ( 10 , 2 )") == normalised("NUMERIC(10,2)")
    assert normalised("double  precision") == "DOUBLE PRECISION"

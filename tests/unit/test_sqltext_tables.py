"""CREATE TABLE and CREATE INDEX texts as real files hold them."""

from __future__ import annotations

import pytest

from stepflow_tui.engine.plan.sqltext.indexes import parse_index, parse_virtual
from stepflow_tui.engine.plan.sqltext.tables import parse_table
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError


def test_names_collations_and_checks_survive_odd_writing() -> None:
    table = parse_table(
        """CREATE TABLE "a""b" ( -- the ( first
          [first col] double precision(10, 2) unsigned zerofill NOT NULL COLLATE "NOCASE" CONSTRAINT c1 CHECK ("first col" <> ')'),
          `second` 'odd type' default (1 + (2)) check (second in (1, 2)), third,
          constraint pk primary key ("first col" desc, second) on conflict replace
          constraint "un iq" unique (third collate nocase) check (third is not null))"""
    )
    assert table.name == 'a"b'
    assert [c.name for c in table.columns] == ["first col", "second", "third"]
    assert table.columns[0].collation == "NOCASE"
    assert table.columns[1].default == "(1 + (2))"
    assert table.checks == [("c1", "\"first col\" <> ')'"), (None, "second in (1, 2)"), (None, "third is not null")]
    assert (table.primary_key_name, table.uniques) == ("pk", [("un iq", ("third",))])


def test_foreign_keys_keep_their_timing() -> None:
    table = parse_table(
        "create table t(a references p, b int constraint fb references p(x) on delete set null deferrable initially deferred,"
        " c int references p not deferrable initially deferred, constraint fk foreign key (a, b) references q match full deferrable)"
    )
    assert [(k.name, k.columns, k.ref_columns, k.deferrable, k.initially_deferred) for k in table.foreign_keys] == [
        (None, ("a",), (), False, False),
        ("fb", ("b",), ("x",), True, True),
        (None, ("c",), (), False, False),
        ("fk", ("a", "b"), (), True, False),
    ]


def test_generated_columns_and_options() -> None:
    table = parse_table(
        "create table t(id integer primary key autoincrement, g generated always as (id + (1)) stored, h as (g)) without rowid, strict"
    )
    assert [c.expression for c in table.columns] == [None, "id + (1)", "g"]
    assert table.autoincrement
    assert (table.without_rowid, table.strict) == (True, True)


@pytest.mark.parametrize(
    "sql", ["", "create view v as select 1", "create table t", "create table t(a", "create table t('a)"]
)
def test_what_is_no_table_is_refused(sql: str) -> None:
    with pytest.raises(SqlTextError):
        parse_table(sql)


def test_index_terms_lose_order_and_collation_only() -> None:
    index = parse_index(
        "create unique index if not exists main.i on t (a collate nocase desc, lower(b) asc, c || ',') where (a > 1) -- x"
    )
    assert index.terms == ("a", "lower(b)", "c || ','")
    assert index.where is not None
    assert index.where.startswith("(a > 1)")


def test_virtual_tables_keep_their_arguments() -> None:
    virtual = parse_virtual(
        "create virtual table if not exists \"f t\" using FTS5(title, body UNINDEXED, tokenize = 'porter, x')"
    )
    assert virtual.module == "fts5"
    assert virtual.arguments == ("title", "body UNINDEXED", "tokenize = 'porter, x'")

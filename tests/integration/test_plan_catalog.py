"""Reading the catalog of real files, odd ones included."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepflow_tui.engine.model.schema import Affinity, Generated, TableKind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.catalog_tables import affinity_of
from tests.integration.plan_kit import schema_of, source


def test_names_keys_and_constraints(tmp_path: Path) -> None:
    schema = schema_of(source(tmp_path / "a.db", """
        create table "a""b"(`x``y` int -- , )
          default (1), [br ack] "double precision" collate nocase unique, "xmin" text constraint c check ("xmin" <> ')'));
        create table "table/with/slashes.csv"(a, b);
        create table ""(a, b, constraint u unique (a, b), constraint p primary key (b desc));
        create table made as select 1 as "x y", 'b' as b;
        create table par(id integer primary key autoincrement, n text);
        create table kid(id integer primary key desc, p references par deferrable initially deferred, q references PAR(ID) on delete cascade);
        insert into par(n) values (1); delete from par;
    """))  # fmt: skip
    assert [t.name for t in schema.tables] == ['a"b', "table/with/slashes.csv", "", "made", "par", "kid"]
    odd = schema.table('a"b')
    assert [(c.name, c.declared, c.collation) for c in odd.columns] == [
        ("x`y", "INT", "BINARY"), ("br ack", "double precision", "NOCASE"), ("xmin", "TEXT", "BINARY")]  # fmt: skip
    assert [(c.name, c.expression) for c in odd.checks] == [("c", "\"xmin\" <> ')'")]
    empty = schema.table("")
    assert (empty.primary_key, empty.primary_key_name) == (("b",), "p")
    assert [(i.origin, i.constraint, i.terms[0].desc) for i in empty.indexes] == [("u", "u", False), ("pk", None, True)]
    par, kid = schema.table("PAR"), schema.table("kid")
    assert (par.rowid_alias, par.autoincrement, par.sequence, par.rowid_name) == ("id", True, 1, "rowid")
    assert kid.rowid_alias is None  # PRIMARY KEY DESC gets an index of its own
    assert [(k.columns, k.ref_table, k.ref_columns, k.deferrable, k.on_delete) for k in kid.foreign_keys] == [
        (("p",), "par", ("id",), True, "NO ACTION"), (("q",), "par", ("id",), False, "CASCADE")]  # fmt: skip


def test_generated_hidden_and_shadow(tmp_path: Path) -> None:
    schema = schema_of(source(tmp_path / "a.db", """
        create table g(a int, v as (a + 1), s generated always as (v || 'x') stored);
        create virtual table f using fts5(title, body);
        create virtual table r using rtree(id, x0, x1);
        analyze;
    """))  # fmt: skip
    assert [(c.generated, c.expression) for c in schema.table("g").columns] == [
        (Generated.NO, None), (Generated.VIRTUAL, "a + 1"), (Generated.STORED, "v || 'x'")]  # fmt: skip
    assert schema.table("f").module == "fts5"
    assert [c.name for c in schema.table("f").columns if c.generated is Generated.HIDDEN] == ["f", "rank"]
    shadows = {t.name for t in schema.tables if t.kind is TableKind.SHADOW}
    assert shadows == {"f_data", "f_idx", "f_content", "f_docsize", "f_config", "r_rowid", "r_node", "r_parent"}


def test_indexes_partial_and_over_expressions(tmp_path: Path) -> None:
    schema = schema_of(source(tmp_path / "a.db", """
        create table t(a text, b int);
        create index i on t(a collate nocase desc, lower(a) asc, b) where b > 1 and a is not null;
    """))  # fmt: skip
    index = schema.table("t").indexes[0]
    assert [(t.column, t.expression, t.desc, t.collation) for t in index.terms] == [
        ("a", None, True, "NOCASE"), (None, "lower(a)", False, "BINARY"), ("b", None, False, "BINARY")]  # fmt: skip
    assert index.where == "b > 1 and a is not null"


def test_unknown_modules_and_collations_are_named_not_fatal(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    connection = sqlite3.connect(path)
    connection.create_collation("ODD", lambda a, b: (a > b) - (a < b))
    connection.executescript(
        "create table w(a collate odd, primary key(a)) without rowid; create table r(a collate odd unique); create table ok(a)"
    )
    connection.execute("pragma writable_schema=on")
    connection.execute(
        "insert into sqlite_master values ('table', 'm', 'm', 0, 'CREATE VIRTUAL TABLE m USING gone(a, b)')"
    )
    connection.commit()
    connection.close()
    schema = schema_of(path)
    assert "no such module" in (schema.table("m").unreadable or "")
    assert schema.table("w").unreadable is not None
    assert schema.table("r").unreadable is None
    assert schema.table("ok").unreadable is None


def test_a_malformed_entry_stops_no_other(tmp_path: Path) -> None:
    path = source(tmp_path / "a.db", "create table ok(a int check (a > 0)); insert into ok values (1)")
    connection = sqlite3.connect(path)
    connection.execute("pragma writable_schema=on")
    connection.execute(
        "insert into sqlite_master values ('table', cast(x'63ff' as text), cast(x'63ff' as text), 5, 'create garbage (')"
    )
    connection.commit()
    connection.close()
    schema = schema_of(path)
    assert schema.table("ok").checks[0].expression == "a > 0"
    broken = schema.table("c\\xff")
    assert broken.unparsed is not None
    assert broken.unreadable is not None


def test_the_connection_keeps_its_text_factory(tmp_path: Path) -> None:
    connection = sqlite3.connect(source(tmp_path / "a.db", "create table t(a)"))
    connection.text_factory = bytes
    read_schema(connection)
    assert connection.text_factory is bytes
    connection.close()


@pytest.mark.parametrize(("declared", "affinity"), [
    ("FLOATING POINT", Affinity.INTEGER), ("STRING", Affinity.NUMERIC), ("CHARINT", Affinity.INTEGER), ("", Affinity.BLOB),
    ("double precision", Affinity.REAL), ("INTEGER_OR_TEXT", Affinity.INTEGER), ("varchar(3)", Affinity.TEXT), ("any", Affinity.NUMERIC),
])  # fmt: skip
def test_affinities(declared: str, affinity: Affinity) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"create table t(a {declared})")
    connection.execute("insert into t values ('1'), (1.0), ('1.5')")
    stored = [r[0] for r in connection.execute("select typeof(a) from t")]
    connection.close()
    expected = {Affinity.INTEGER: ["integer", "integer", "real"], Affinity.NUMERIC: ["integer", "integer", "real"],
                Affinity.TEXT: ["text"] * 3, Affinity.REAL: ["real"] * 3, Affinity.BLOB: ["text", "real", "text"]}  # fmt: skip
    assert affinity_of(declared) is affinity
    assert stored == expected[affinity]


NAME = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@settings(max_examples=60, deadline=None)
@given(
    NAME.filter(lambda n: not n.lower().startswith("sqlite_")),
    st.lists(NAME, min_size=1, max_size=6, unique_by=str.casefold),
)
def test_any_name_is_read_as_it_is(table: str, columns: list[str]) -> None:
    connection = sqlite3.connect(":memory:")
    try:
        listed = ", ".join(f"{lite_ident(c)} int collate nocase check ({lite_ident(c)} <> 1)" for c in columns)
        try:
            connection.execute(f"create table {lite_ident(table)} ({listed})")
        except sqlite3.OperationalError:
            return  # names that differ in ASCII case only
        read = read_schema(connection).tables[0]
    finally:
        connection.close()
    assert (read.name, [c.name for c in read.columns]) == (table, columns)
    assert {c.collation for c in read.columns} == {"NOCASE"}
    assert len(read.checks) == len(columns)

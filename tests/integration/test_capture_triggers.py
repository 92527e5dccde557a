"""The capture triggers on real tables: what they log, how they find it, and which tables they are not enough for."""

from __future__ import annotations

import sqlite3

import pytest

from stepflow_tui.engine.model.live import LOG
from stepflow_tui.engine.model.schema import SourceSchema, SourceTable
from stepflow_tui.engine.plan.capture import captured_table, key_of, reconcile_reason, uncapturable
from stepflow_tui.engine.sqlite.catalog import read_schema


def opened(script: str) -> sqlite3.Connection:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.executescript(script)
    return conn


def read(conn: sqlite3.Connection, name: str = "t") -> tuple[SourceTable, SourceSchema]:
    schema = read_schema(conn)
    return next(t for t in schema.tables if t.name == name), schema


def capture(conn: sqlite3.Connection, name: str = "t") -> None:
    table, schema = read(conn, name)
    conn.execute(f"create table if not exists {LOG}(n integer primary key, tb text not null, k1, k2)")
    for sql in captured_table(table, key_of(table, usable_primary=True), schema.triggers).triggers.values():
        conn.execute(sql)


def keys(conn: sqlite3.Connection) -> set[object]:
    """Logged keys; those of one column without their tuple."""
    found = conn.execute(f"select k1, k2 from {LOG}").fetchall()
    conn.execute(f"delete from {LOG}")
    return {one if two is None else (one, two) for one, two in found}


@pytest.mark.parametrize(
    ("script", "key"),
    [
        ("create table t(id integer primary key, x)", ("id",)),
        ("create table t(id integer primary key desc, x)", ("rowid",)),
        ("create table t(id int primary key not null, x)", ("id",)),
        ("create table t(id text primary key, x)", ("rowid",)),
        ("create table t(a, b, primary key (b, a)) without rowid", ("b", "a")),
        ("create table t(a not null, b not null, primary key (b, a))", ("b", "a")),
        ("create table t(a not null, b, primary key (b, a))", ("rowid",)),
        ("create table t(rowid, x)", ("_rowid_",)),
        ("create table t(ROWID, _Rowid_, x)", ("oid",)),
    ],
)
def test_the_key_of_each_shape(script: str, key: tuple[str, ...]) -> None:
    table, _ = read(opened(script))
    assert key_of(table, usable_primary=True) == key


def test_a_primary_key_that_compares_otherwise_over_there_is_not_used() -> None:
    table, _ = read(opened("create table t(id text primary key not null collate nocase, x)"))
    assert key_of(table, usable_primary=False) == ("rowid",)


def test_an_update_that_keeps_the_key_costs_one_entry() -> None:
    conn = opened("create table t(id integer primary key, x unique); insert into t values (1, 'a'), (2, 'b')")
    capture(conn)
    conn.execute("update t set x = x || '!'")
    assert conn.execute(f"select count(*) from {LOG}").fetchone() == (2,)
    conn.execute("update t set id = 7 where id = 1")
    assert keys(conn) == {1, 2, 7}


def test_rows_that_make_room_are_logged() -> None:
    conn = opened(
        "create table t(id integer primary key, a unique, b collate nocase, c);"
        "create unique index i on t(b, c) where c > 0; create unique index e on t(abs(c));"
        "insert into t values (1, 'x', 'B', 5), (2, 'y', 'b', 6), (3, 'z', null, 7)"
    )
    capture(conn)
    conn.execute("insert or replace into t values (3, 'x', 'b', -6)")
    assert keys(conn) == {1, 2, 3}
    assert conn.execute("select id from t").fetchall() == [(3,)]


def test_a_row_removed_by_its_row_number_is_logged_by_its_own_key() -> None:
    conn = opened("create table t(k text primary key not null); insert into t(rowid, k) values (5, 'old')")
    capture(conn)
    conn.execute("insert or replace into t(rowid, k) values (5, 'new')")
    assert keys(conn) == {"old", "new"}
    conn.execute("insert into t(rowid, k) values (6, 'six')")
    conn.execute("update or replace t set rowid = 5 where k = 'six'")
    assert keys(conn) == {"new", "six"}


def test_null_that_becomes_a_default_is_seen() -> None:
    conn = opened(
        "create table t(id integer primary key, a text not null default word unique, b not null default (1 + 1));"
        "create unique index i on t(b); insert into t values (1, 'word', 9), (2, 'x', 2)"
    )
    capture(conn)
    conn.execute("insert or replace into t values (3, null, null)")
    assert keys(conn) >= {1, 2, 3}
    assert conn.execute("select * from t").fetchall() == [(3, "word", 2)]


@pytest.mark.parametrize("kind", ["stored", "virtual"])
def test_a_generated_column_is_computed_from_all_it_needs(kind: str) -> None:
    """Before an UPDATE, SQLite loads only the columns that triggers mention: the key's own column is not enough."""
    conn = opened(
        f"create table t(id integer primary key, o text, f as (o || '!') {kind}, c as (f = 'a!') {kind}, a integer, unique (a, c));"
        "insert into t(id, o, a) values (1, 'a', 5), (2, 'a', 6), (3, 'b', 7)"
    )
    capture(conn)
    conn.execute("update or replace t set a = 5 where id = 2")
    assert conn.execute("select id from t").fetchall() == [(2,), (3,)]
    assert keys(conn) == {1, 2}


def test_keys_keep_their_storage_class() -> None:
    conn = opened("create table t(k primary key) without rowid")
    capture(conn)
    conn.execute("insert into t values (1), ('1'), (x'31'), (1.5)")
    found = conn.execute(f"select typeof(k1) from {LOG} where tb = 't' order by 1").fetchall()
    assert found == [("blob",), ("integer",), ("real",), ("text",)]


@pytest.mark.parametrize(
    "write",
    [
        "insert or replace into t values (7, 'new', 'new', 7, 'new')",
        "insert into t(a, b, c, k) values ('new', 'new', 9999999, 'new')",
        "insert or replace into t(id, a, b, c, k) values (7, null, null, null, null)",
        "update or replace t set a = 'other', b = 'other', c = 8888888 where id = 7",
    ],
)
def test_no_hint_reads_the_whole_table(write: str) -> None:
    """SQLite's own count of steps: a write into 5,000 rows takes no more of them than one into 50."""
    few, many = (_steps(rows, write) for rows in (50, 5_000))
    assert many < few * 1.3


def _steps(rows: int, write: str) -> int:
    conn = opened(
        "create table t(id integer primary key, a text not null default 'x' unique, b collate nocase, c int, k text);"
        "create unique index p on t(b, c) where c > 0; create unique index e on t(lower(a), c desc);"
        "create unique index q on t(k collate rtrim) where k is not null; create unique index m on t(c);"
        f"with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows})"
        "insert into t select i, 'a' || i, 'b' || i, i, 'k' || i from n"
    )
    capture(conn)
    conn.execute("analyze")
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    conn.set_progress_handler(count, 1)
    conn.execute(write)
    return steps


@pytest.mark.parametrize(
    ("script", "name", "why"),
    [
        ("create virtual table t using fts5(x)", "t", "no triggers on virtual tables"),
        ("create virtual table f using fts5(x)", "f_data", "storage of a virtual table"),
        ("create table t(rowid, _rowid_, oid)", "t", "hide its row number"),
        ("create table t(rowid, _rowid_, oid, k text primary key)", "t", "hide its row number"),
        ("create table _sf_mine(x)", "_sf_mine", "StepFlow's own"),
    ],
)
def test_tables_that_are_refused(script: str, name: str, why: str) -> None:
    table, _ = read(opened(script), name)
    assert why in str(uncapturable(table))


def test_a_collation_of_the_applications_is_refused() -> None:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.create_collation("german", lambda a, b: (a > b) - (a < b))
    conn.execute("create table t(id integer primary key, x text collate german unique)")
    assert "the collation german" in str(uncapturable(read(conn)[0]))
    conn.execute("create table ok(id integer primary key, x text collate german)")
    assert uncapturable(read(conn, "ok")[0]) is None


RECONCILED = {
    "generated from a default": (
        (
            "create table t(id integer primary key, a text not null default 'x', g as (upper(a)) unique);"
            "insert into t(id, a) values (1, 'x')"
        ),
        "insert or replace into t(id, a) values (2, null)",
        "where NULL turns into a default",
    ),
    "generated by way of another": (
        (
            "create table t(id integer primary key, a text not null default 'x', f as (a || '!'), g as (upper(f)) unique);"
            "insert into t(id, a) values (1, 'x')"
        ),
        "insert or replace into t(id, a) values (2, null)",
        "where NULL turns into a default",
    ),
    "from the row number": (
        (
            "create table t(id integer primary key, x); create unique index i on t(length(id));"
            "insert into t(id, x) values (1, 1)"
        ),
        "insert or replace into t(x) values (2)",
        "computes something from id",
    ),
    "unlike values": (
        (
            "create table t(id integer primary key, s text); create unique index i on t((s = 1));"
            "insert into t values (1, '1')"
        ),
        "insert or replace into t values (2, 1)",
        "compares values of different types",
    ),
    "default in another form": (
        (
            "create table t(id integer primary key, s text not null default 5); create unique index i on t(typeof(s));"
            "insert into t values (1, 'any')"
        ),
        "insert or replace into t values (2, null)",
        "stored in another form",
    ),
    "a trigger changes the row before": (
        (
            "create table t(id integer primary key, a, b, unique (a, b));"
            "create trigger x before update of a on t begin update t set b = 9 where id = new.id; end;"
            "insert into t values (1, 1, 9), (2, 2, 2)"
        ),
        "update or replace t set a = 1 where id = 2",
        "writes before an update",
    ),
}


@pytest.mark.parametrize("name", RECONCILED)
def test_what_is_marked_reconcile_does_miss_a_row(name: str) -> None:
    """Each mark is earned: with exactly these tables and writes the log misses the row that was removed."""
    script, write, why = RECONCILED[name]
    conn = opened(script)
    table, schema = read(conn)
    assert why in str(reconcile_reason(table, schema.triggers))
    capture(conn)
    conn.execute(write)
    assert conn.execute("select count(*) from t where id = 1").fetchone() == (0,)
    assert 1 not in keys(conn)


def test_a_default_that_nobody_can_foresee_is_marked() -> None:
    for default, marked in (
        ("(abs(random()) % 3)", True),
        ("(lower(hex(randomblob(16))))", False),
        ("(hex(randomblob(2)))", True),
        ("(strftime('%s', 'now'))", False),
        ("current_timestamp", False),
    ):
        table, _ = read(opened(f"create table t(id integer primary key, a not null default {default} unique)"))
        assert (reconcile_reason(table) is not None) is marked, default


@pytest.mark.parametrize(
    "script",
    [
        "create table t(id integer primary key, s int, e text); create unique index i on t(case when s = 0 then e end)",
        "create table t(id integer primary key, e text collate nocase); create unique index i on t((e = 'Active'))",
        "create table t(a text not null default 'x', b, unique (a, b))",
        "create table t(a, b, g as (a || b) unique)",
        (
            "create table t(id integer primary key, a, b, unique (a, id)); "
            "create trigger x before update on t begin select raise(abort, 'no') where new.a < 0; end"
        ),
    ],
)
def test_what_is_common_is_not_marked(script: str) -> None:
    table, schema = read(opened(script))
    assert uncapturable(table) is None
    assert reconcile_reason(table, schema.triggers) is None


def test_a_comparison_under_its_columns_collation_is_foreseen() -> None:
    conn = opened(
        "create table t(id integer primary key, e text collate nocase); create unique index i on t((e = 'Active'));"
        "insert into t values (1, 'ACTIVE')"
    )
    capture(conn)
    conn.execute("insert or replace into t values (2, 'active')")
    assert conn.execute("select id from t").fetchall() == [(2,)]
    assert keys(conn) == {1, 2}

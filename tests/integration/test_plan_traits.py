"""Every trait of a schema, planned from a real file and made in a real PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from stepflow_tui.engine.model.plan import CompareKind, ObjectType, Stage, WalkKind
from tests.acceptance.hostile import CASES, make
from tests.integration.plan_kit import apply, find, plan_of, source


@pytest.fixture
async def pg(pg_dsn: str) -> Any:
    connection = await asyncpg.connect(pg_dsn)
    yield connection
    await connection.close()


async def test_identity_goes_on_where_sqlite_would(tmp_path: Path, pg: asyncpg.Connection) -> None:
    path = source(tmp_path / "a.db", """
        create table emptied(id integer primary key autoincrement, v); insert into emptied values (41, 1); delete from emptied;
        create table plain(id integer primary key, v); insert into plain values (7, 1), (-3, 2);
        create table negative(id integer primary key, v); insert into negative values (-7, 1);
        create table never(id integer primary key, v);
        create table never_id_seq(a);
    """)  # fmt: skip
    plan = await plan_of(path)
    assert (await apply(pg, plan, path)).refused == {}
    nexts = {
        t: await pg.fetchval(f'insert into app."{t}" (v) values (null) returning id')
        for t in ("emptied", "plain", "negative", "never")
    }
    assert nexts == {"emptied": 42, "plain": 8, "negative": 1, "never": 1}
    assert {o.name for o in plan.objects if o.type is ObjectType.SEQUENCE} == {
        "emptied.id",
        "plain.id",
        "negative.id",
        "never.id",
    }


async def test_keys_sqlite_lets_null_into(tmp_path: Path, pg: asyncpg.Connection) -> None:
    path = source(tmp_path / "a.db", """
        create table t(k text primary key, v int not null);
        insert into t values (null, 1), (null, 2), ('a', 3);
        create table u(a int, b int, constraint pair unique (a, b)); insert into u values (1, null), (1, null), (1, 2);
    """)  # fmt: skip
    plan = await plan_of(path)
    assert (await apply(pg, plan, path)).refused == {}
    key = find(plan, ObjectType.PRIMARY_KEY, "t.k")
    assert key.carried
    assert "NULL in k" in key.reason
    assert find(plan, ObjectType.UNIQUE, "pair").carried
    assert plan.table("t").compare.kind is not CompareKind.KEY
    with pytest.raises(asyncpg.UniqueViolationError):
        await pg.execute("insert into app.t values ('a', 4)")


async def test_not_null_that_does_not_hold_is_named(tmp_path: Path) -> None:
    path = source(tmp_path / "a.db", """
        create table t(a int, b text not null); insert into t values (null, 'x');
        pragma writable_schema = on;
        update sqlite_master set sql = 'create table t(a int not null, b text not null)' where name = 't';
    """)  # fmt: skip
    plan = await plan_of(path)
    assert [c.not_null for c in plan.table("t").columns] == [False, True]
    named = find(plan, ObjectType.CHECK, "t.a")
    assert not named.carried
    assert "NOT NULL: 1 rows" in named.reason


async def test_nocase_uniqueness_is_ascii_only(tmp_path: Path, pg: asyncpg.Connection) -> None:
    path = source(tmp_path / "a.db", """
        create table t(id integer primary key, n text collate nocase unique, r text unique collate rtrim);
        insert into t values (1, 'Ä', 'x'), (2, 'ä', 'y'), (3, 'a', 'z');
        create unique index i on t(r collate nocase, id desc);
    """)  # fmt: skip
    plan = await plan_of(path)
    assert (await apply(pg, plan, path)).refused == {}
    assert "ASCII" in find(plan, ObjectType.UNIQUE, "t.n").reason
    assert not find(plan, ObjectType.COLLATION, "t.n").carried
    for refused in ("(4, 'A', 'q')", "(4, 'q', 'x  ')"):
        with pytest.raises(asyncpg.UniqueViolationError):
            await pg.execute(f"insert into app.t values {refused}")


async def test_foreign_keys_with_actions_timing_and_orphans(tmp_path: Path, pg: asyncpg.Connection) -> None:
    path = source(tmp_path / "a.db", """
        create table p(id integer primary key, n text unique, c text unique collate nocase, x int); insert into p values (1, 'a', 'c', 5);
        create table k(a int references p on delete cascade, b text references p(n) on update set null deferrable initially deferred,
          gone int references nowhere, loose int references p(x), folded text references p(c), missing int references p(nope),
          constraint named foreign key (a) references p(id));
        insert into k(a, b) values (1, 'a'), (99, null);
    """)  # fmt: skip
    plan = await plan_of(path)
    outcome = await apply(pg, plan, path)
    # the two keys over the orphan stay NOT VALID; nothing else is refused
    assert sorted(outcome.refused) == ["validate:k 1", "validate:k 7"]
    definitions = {
        r[0]: r[1]
        for r in await pg.fetch("select conname, pg_get_constraintdef(oid) from pg_constraint where contype = 'f'")
    }
    assert (
        definitions["k_b_fkey"]
        == "FOREIGN KEY (b) REFERENCES app.p(n) ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED"
    )
    assert "ON DELETE CASCADE NOT VALID" in definitions["k_a_fkey"]
    reasons = {o.name: o.reason for o in plan.objects if o.type is ObjectType.FOREIGN_KEY and not o.carried}
    assert set(reasons) == {"k.gone", "k.loose", "k.folded", "k.missing"}
    assert "not unique" in reasons["k.loose"]
    assert all(find(plan, ObjectType.FOREIGN_KEY, n).sql for n in reasons)


async def test_generated_columns_compute_the_same(tmp_path: Path, pg: asyncpg.Connection) -> None:
    path = source(tmp_path / "a.db", """
        create table g(a int, b real, v as (a || '-' || b), w int as (a * 2) stored, x int as (w + 1), y real generated always as (b * 1.5),
          z text as (upper(printf('%d', a))) stored);
        insert into g(a, b) values (1, 2.5), (null, 1.0), (3, null);
    """)  # fmt: skip
    plan = await plan_of(path)
    assert (await apply(pg, plan, path)).refused == {}
    rows = [tuple(r) for r in await pg.fetch("select w, x, y, z from app.g order by ctid")]
    assert rows == [(2, 3, 3.75, "1"), (None, None, 1.5, "0"), (6, 7, None, "3")]
    table = plan.table("g")
    assert [c.source for c in table.columns if c.generated is None] == ["a", "b", "v", "z"]
    plain = find(plan, ObjectType.GENERATED_COLUMN, "g.z")
    assert not plain.carried
    assert plain.sql == "upper(printf('%d', a))"
    assert "stores it" in find(plan, ObjectType.GENERATED_COLUMN, "g.x").reason


async def test_defaults_are_translated_not_frozen(tmp_path: Path, pg: asyncpg.Connection) -> None:
    path = source(tmp_path / "a.db", """
        create table d(id integer primary key, t datetime default current_timestamp, day date default (date('now')), txt text default (datetime('now')),
          ms int default (strftime('%s', 'now') * 1000), flag boolean default true, word default word, quoted text default "it's", num numeric(8, 2) default '12.50',
          neg int default -5, big int default 0x10, hexed text default (lower(hex(randomblob(8)))), bl blob default x'00ff', wrong int default 'abc', never int default null);
        insert into d(id, t, day, wrong) values (1, '2020-01-01 10:00:00', '2020-01-01', 3);
    """)  # fmt: skip
    plan = await plan_of(path)
    assert (await apply(pg, plan, path)).refused == {}
    await pg.execute("set time zone 'America/New_York'")
    row = await pg.fetchrow(
        "insert into app.d (wrong) values (0) returning *, t = date_trunc('second', now() at time zone 'utc') as utc"
    )
    assert row is not None
    assert row["utc"]
    assert (row["flag"], row["word"], row["quoted"], row["neg"], row["big"], row["bl"]) == (
        True,
        "word",
        "it's",
        -5,
        16,
        b"\x00\xff",
    )
    assert str(row["num"]) == "12.50"
    assert row["txt"] == row["t"].isoformat(" ")
    assert row["ms"] % 1000 == 0
    assert len(row["hexed"]) == 16
    wrong = find(plan, ObjectType.DEFAULT, "d.wrong")
    assert (wrong.carried, wrong.sql) == (False, "'abc'")


async def test_views_show_the_same_rows(tmp_path: Path, pg: asyncpg.Connection) -> None:
    path = source(tmp_path / "a.db", """
        create table p(id integer primary key, name text, grp text, flag boolean, amount real);
        insert into p values (1, 'b', 'x', 1, 1.5), (2, 'B', 'x', 0, 2.5), (3, 'a', null, 1, null), (4, 'Ä', 'y', 1, 4.0);
        create table k(id integer primary key, p int); insert into k values (1, 1), (2, 1), (3, 4), (4, 77);
        create view plain as select * from p where name < 'a';
        create view joined as select p.*, k.id as kid from p left join k on k.p = p.id order by p.id desc, kid;
        create view used as select * from k join (select id, name from p) using (id) order by id;
        create view grouped as select grp, count(*) n, sum(amount) s, max(name) m from p group by grp having n >= 1 order by grp desc;
        create view compound(a, b) as select id, 'p' from p where flag union select id, 'k' from k order by 2, 1 limit 5;
        create view nested as with big as (select id, amount a from p where amount > 2) select id, (select count(*) from k where k.p = big.id) c,
          case when exists (select 1 from k where p = big.id) then 'yes' else 'no' end e from big order by id;
        create view onto as select upper(name) || '!' shout from nested join p using (id) order by shout;
        create view bare as select grp, name from p group by grp;
        create view lost as select * from gone;
    """)  # fmt: skip
    import sqlite3

    plan = await plan_of(path)
    assert (await apply(pg, plan, path)).refused == {}
    lite = sqlite3.connect(path)
    for name in ("plain", "joined", "used", "grouped", "compound", "nested", "onto"):
        expected = [tuple(r) for r in lite.execute(f"select * from {name}")]
        assert [
            tuple(int(v) if isinstance(v, bool) else v for v in r) for r in await pg.fetch(f"select * from app.{name}")
        ] == expected, name
    lite.close()
    reasons = {o.name: o.reason for o in plan.objects if o.type is ObjectType.VIEW and not o.carried}
    assert set(reasons) == {"bare", "lost"}


async def test_virtual_tables_become_plain_ones(tmp_path: Path, pg: asyncpg.Connection) -> None:
    path = source(tmp_path / "a.db", """
        create table base(id integer primary key, title text);
        create virtual table f using fts5(title, body); insert into f(rowid, title, body) values (7, 'a', 'b');
        create virtual table e using fts5(title, content='base', content_rowid='id');
        create virtual table r using rtree(id, x0, x1); insert into r values (5, 1.0, 2.0);
    """)  # fmt: skip
    plan = await plan_of(path)
    assert (await apply(pg, plan, path)).refused == {}
    assert [tuple(r) for r in await pg.fetch("select * from app.f")] == [(7, "a", "b")]
    assert (plan.table("f").walk.columns, plan.table("f").compare.columns, plan.table("f").rowid_column) == (
        ("rowid",),
        ("rowid",),
        "rowid",
    )
    offered = find(plan, ObjectType.VIRTUAL_TABLE, "f")
    assert offered.carried
    sql = offered.reason.split("request: ")[1]
    await pg.execute(sql)  # what is offered works
    assert not find(plan, ObjectType.VIRTUAL_TABLE, "e").carried
    assert len([o for o in plan.objects if o.type is ObjectType.SHADOW_TABLE]) == 12
    assert plan.table("r").rowid_column == "id"


async def test_limits_and_names(tmp_path: Path, pg: asyncpg.Connection) -> None:
    long, columns = "x" * 70, ", ".join(f"c{i} int" for i in range(639))
    path = source(tmp_path / "a.db", f"""
        create table wide({columns}); create table broken({columns.replace('c', 'd')}, {columns.replace('c', 'e')}, {columns.replace('c', 'f')});
        create table {long}(a int primary key, {long} int unique check ({long} > 0)); create table {long}2(a int);
        create table T(a); create table "t_pkey"(b); create table t_a_key(c);
        create table s(xmin int, ctid int, "" int, tableoid int, oid int); create table ""("select" int primary key, "a""; drop table s; --" int);
        create index {long}i on s(xmin);
    """)  # fmt: skip
    plan = await plan_of(path)
    assert (await apply(pg, plan)).refused == {}
    assert "1917 columns" in (plan.table("broken").impossible or "")
    assert [s for s in plan.statements if s.table == "broken"] == []
    assert plan.name_changes["s.xmin"] == "s.xmin_"
    assert plan.name_changes[""] == "unnamed"
    assert len(plan.name_changes[long].encode()) == 63
    assert plan.name_changes[long] != plan.name_changes[f"{long}2"]
    made = {
        r[0]
        for r in await pg.fetch(
            "select relname from pg_class join pg_namespace n on n.oid = relnamespace where nspname = 'app' and relkind = 'r'"
        )
    }
    assert made == {t.name for t in plan.tables if not t.impossible}


async def test_walks(tmp_path: Path) -> None:
    path = source(tmp_path / "a.db", """
        create table shadowed(rowid text, _rowid_ int); create table all_three(rowid, _rowid_, oid);
        create table aliased(oid integer primary key, rowid, _rowid_); create table w(a text, b int, primary key (b, a)) without rowid;
    """)  # fmt: skip
    plan = await plan_of(path)
    assert [(t.walk.kind, t.walk.columns) for t in plan.tables] == [
        (WalkKind.ROWID, ("oid",)), (WalkKind.SINGLE, ()), (WalkKind.ROWID, ("oid",)), (WalkKind.PRIMARY, ("b", "a"))]  # fmt: skip
    assert plan.table("w").compare.columns == ("b", "a")


async def test_statement_and_object_ids_are_unique(tmp_path: Path) -> None:
    path = source(tmp_path / "a.db", """
        create table t(a int check (a > 0) check (a > 0), b int check (a > 0), unique (a), unique (a));
        create trigger x after insert on t begin select raise(abort, 'x') where new.a = 5; end;
    """)  # fmt: skip
    plan = await plan_of(path)
    for ids in ([s.id for s in plan.statements], [o.id for o in plan.objects]):
        assert len(ids) == len(set(ids))
    known = {o.id for o in plan.objects}
    assert all(s.object_id in known for s in plan.statements if s.object_id)
    stages = list(Stage)
    assert [stages.index(s.stage) for s in plan.statements] == sorted(stages.index(s.stage) for s in plan.statements)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
async def test_hostile_files_are_planned_and_made(case: Any, tmp_path: Path, pg: asyncpg.Connection) -> None:
    plan = await plan_of(make(case, tmp_path / "a.db"))
    await apply(pg, plan)
    planned = {t.source for t in plan.tables} | {o.name for o in plan.objects}
    assert planned
    assert all(o.carried or o.reason for o in plan.objects)


NASTY = ('a"; drop table x; --', "it's", "back\\slash", "new\nline", "tab\t", "{brace}", "%s", "$1", "$$", "$trigger$", "ünïcode", "日本", "🦆", "a.b",
         "select", "new", "old", "public", "_stepflow", " lead", "trail ", "UPPER", "x" * 64, "é" * 40, "''", '""', "--", "/*", ";", "null")  # fmt: skip


async def test_hostile_names_end_to_end(tmp_path: Path, pg: asyncpg.Connection) -> None:
    from stepflow_tui.engine.plan.quote import lite_ident, lite_literal

    statements = []
    for number, name in enumerate(NASTY):
        t, c, i, v, g = (lite_ident(f"{name}{mark}") for mark in ("", " c", " i", " v", " g"))
        statements.append(
            f"create table {t}({c} text primary key default {lite_literal(name)}, n{number} int unique, self text references {t}({c}),"
            f" constraint {t} check ({c} <> {lite_literal(name)} or n{number} > 0));"
            f"create index {i} on {t}({c} collate nocase) where {c} <> {lite_literal(name)};"
            f"insert into {t}(n{number}) values (1); create view {v} as select {c}, {lite_literal(name)} as {g} from {t};"
            f"create trigger {g} before insert on {t} begin select raise(abort, {lite_literal(name)}) where new.{c} = {lite_literal(name)}; end;"
        )
    path = source(tmp_path / "a.db", "\n".join(statements))
    plan = await plan_of(path)
    assert [(o.name, o.reason) for o in plan.objects if not o.carried] == []
    assert (await apply(pg, plan, path)).refused == {}
    from stepflow_tui.engine.plan.quote import pg_name

    for name in NASTY:
        table = plan.table(name)
        assert (
            await pg.fetchval(f"select {lite_ident(table.columns[0].target)} from {pg_name('app', table.name)}") == name
        )
        with pytest.raises(asyncpg.PostgresError) as refused:
            await pg.execute(f"insert into {pg_name('app', table.name)} default values")
        assert str(refused.value) == name

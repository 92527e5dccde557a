"""The same statements on both sides leave the same rows, triggers included."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import asyncpg
import pytest

from stepflow_tui.engine.model.plan import ObjectType
from tests.integration.plan_kit import apply, find, plan_of, source

SCHEMA = """
create table p(id integer primary key, name text, flag boolean, n int, touched text);
create table q(a int, b int, c text, primary key (a, b)); insert into q values (1, 1, 'x'), (2, 1, 'y');
create trigger stamped after update on q begin update q set c = old.c || '+' where a = old.a and q.b = old.b; end;
create table log(a int, what text);
create table other(id integer primary key, p int unique);
insert into p values (1, 'one', 1, 0, null), (2, 'two', 0, 0, null);
create view names as select id, name from p;
create trigger touch after update on p when new.name is not old.name begin update p set touched = old.name || '>' || name where id = new.id; end;
create trigger logged after insert on other begin
  insert into log values (new.id, 'ins ' || new.p); insert into log select id, name from p where id = new.p; end;
create trigger guard before delete on p when old.flag begin select raise(abort, 'it''s flagged'); end;
create trigger skip before insert on other begin select case when new.p > 100 then raise(ignore) when new.p < 0 then raise(fail, 'negative') end; end;
create trigger known before insert on other begin select raise(rollback, 'no parent') where not exists (select 1 from p where p.id = new.p); end;
create trigger gone after delete on other begin delete from log where a = old.id; insert or ignore into other values (old.id + 100, old.p + 1); end;
create trigger columns instead of update of name on names begin delete from log; end;
create trigger renamed instead of update on names begin update p set name = new.name where id = old.id; end;
create trigger twice after insert on log begin insert into log values (new.a, 'again'); end;
create trigger replaces after insert on p begin insert or replace into other values (new.id, new.id); end;
"""

STATEMENTS = [
    "update q set c = 'z' where a = 1",
    "update q set a = 5 where a = 2",
    "insert into other values (10, 1)",
    "insert into other values (11, 500)",
    "insert into other values (12, -1)",
    "insert into other values (13, 3)",
    "insert into other values (14, 2)",
    "update p set name = 'uno' where id = 1",
    "update p set n = 5",
    "update names set name = 'dos' where id = 2",
    "delete from p where id = 1",
    "delete from p where id = 2",
    "delete from other where id = 10",
    "delete from other",
]


async def test_triggers_do_the_same_on_both_sides(tmp_path: Path, pg_dsn: str) -> None:
    path = source(tmp_path / "a.db", SCHEMA)
    plan = await plan_of(path)
    assert {o.name for o in plan.objects if o.type is ObjectType.TRIGGER and not o.carried} == {
        "twice",
        "replaces",
        "columns",
    }
    assert "fire itself again" in find(plan, ObjectType.TRIGGER, "twice").reason
    assert "BEFORE trigger" in find(plan, ObjectType.TRIGGER, "touch").reason
    lite = sqlite3.connect(path, isolation_level=None)
    for name in ("twice", "replaces", "columns"):
        lite.execute(f"drop trigger {name}")
    pg = await asyncpg.connect(pg_dsn)
    try:
        assert (await apply(pg, plan, path)).refused == {}
        await pg.execute("set search_path = app")
        for statement in STATEMENTS:
            assert await _refusal(pg, statement) == _lite_refusal(lite, statement), statement
            for table in ("p", "log", "other", "q"):
                query = f"select * from {table} order by 1, 2"
                expected = [tuple(r) for r in lite.execute(query)]
                assert [
                    tuple(int(v) if isinstance(v, bool) else v for v in r) for r in await pg.fetch(query)
                ] == expected, statement
    finally:
        await pg.close()
        lite.close()


async def _refusal(pg: asyncpg.Connection, statement: str) -> str | None:
    try:
        await pg.execute(statement)
    except asyncpg.PostgresError as error:
        return str(error)
    return None


def _lite_refusal(lite: sqlite3.Connection, statement: str) -> str | None:
    try:
        lite.execute(statement)
    except sqlite3.Error as error:
        return str(error)
    return None


@pytest.mark.parametrize(("body", "reason"), [
    ("update t set b = 1 where a > new.a", "fire itself again"),
    ("select f(new.a)", "isn't a plain RAISE"),
    ("insert into t values (1, 2) on conflict do nothing", "ON CONFLICT"),
    ("insert into gone values (1)", "gone"),
    ("update u set a = printf('%d', new.a)", "printf"),
    ("update u set a = new.nope", "unknown"),
])  # fmt: skip
async def test_what_is_not_sure_is_not_carried(tmp_path: Path, body: str, reason: str) -> None:
    path = source(tmp_path / "a.db", f"""
        create table t(a int, b int); create table u(a int);
        create trigger x after update on t begin {body}; end;
    """)  # fmt: skip
    trigger = find(await plan_of(path), ObjectType.TRIGGER, "x")
    assert not trigger.carried
    assert reason in trigger.reason
    assert trigger.sql.startswith("CREATE TRIGGER x")


async def test_cascades_count_as_writes(tmp_path: Path) -> None:
    path = source(tmp_path / "a.db", """
        create table p(id integer primary key); create table k(p int references p on delete cascade);
        create trigger x after delete on k begin delete from p where id = old.p; end;
    """)  # fmt: skip
    assert not find(await plan_of(path), ObjectType.TRIGGER, "x").carried

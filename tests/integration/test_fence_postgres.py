"""The write gate of the target: closed means closed, for every statement, role and snapshot; open costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from stepflow_tui.engine.errors import Drift, Held
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.plan import ColumnPlan, Compare, CompareKind, TablePlan, Walk, WalkKind
from stepflow_tui.engine.postgres import control, fence
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.live_tables import install_live
from tests.copy_kit import INTEGER, TEXT

RUN = "gate-20260101T000000-0001"


def _plan(name: str) -> TablePlan:
    return TablePlan(
        source=name, schema="public", name=name, primary_key=("id",), live_key=("id",),
        columns=(ColumnPlan(source="id", target="id", declared="integer", type=INTEGER), ColumnPlan(source="x", target="x", declared="text", type=TEXT)),
        walk=Walk(kind=WalkKind.SINGLE), compare=Compare(kind=CompareKind.KEY, columns=("id",)),
    )  # fmt: skip


TABLES = (_plan("a"), _plan("b"))
SETUP = """
create table a (id bigint primary key, x text);
create table b (id bigint primary key references a on delete cascade on update cascade, x text);
create table free (id bigint primary key references b on delete cascade);
insert into a values (1, 'x'), (2, 'y');
insert into b values (1, 'x'), (2, 'y');
create role app_{name} login;
grant select, insert, update, delete, truncate on a, b to app_{name};
"""
WRITES = [
    "insert into a values (9, 'z')",
    "insert into a values (1, 'z') on conflict do nothing",
    "insert into a values (1, 'z') on conflict (id) do update set x = 'z'",
    "insert into a select 9, 'z' where false",
    "update a set x = 'z'",
    "update a set x = 'z' where false",
    "delete from a where id = 1",
    "truncate a, b, free",
    "truncate a cascade",
    "merge into a using (values (1)) as v (id) on a.id = v.id when matched then delete",
    "merge into a using (values (9)) as v (id) on a.id = v.id when not matched then insert values (9, 'z')",
    "with gone as (delete from a where id = 1 returning id) select * from gone",
    "copy a from stdin",
]


@dataclass
class Bench:
    target: Target
    ours: asyncpg.Connection
    app: asyncpg.Connection
    role: str

    async def version(self) -> int:
        return (await fence.gate_state(self.ours)).version

    async def open(self) -> fence.Gate:
        return await fence.open_writes(self.ours, TABLES, version=await self.version(), wait=5)

    async def ours_waits(self) -> bool:
        """Whether the gate is waiting for a lock."""
        sql = "select count(*) > 0 from pg_locks where not granted and pid = $1"
        return bool(await self.app.fetchval(sql, self.ours.get_server_pid()))

    async def close(self, wait: float = 5) -> fence.Gate:
        return await fence.close_writes(self.ours, TABLES, version=await self.version(), wait=wait)


@pytest.fixture
async def bench(pg_target: Target) -> AsyncIterator[Bench]:
    ours, app = await pg_target.connect(), await pg_target.connect()
    name = pg_target.database
    for conn in (ours, app):
        await conn.execute("set search_path = public")
    await control.install(ours, RUN)
    await install_live(ours)
    await ours.execute(SETUP.format(name=name))
    await app.execute(f"set session authorization app_{name}")
    await fence.install_gate(ours, TABLES, wait=5)
    yield Bench(pg_target, ours, app, f"app_{name}")
    app.terminate()
    await ours.execute(f"drop owned by app_{name}; drop role app_{name}")
    await ours.close()


async def _refused(conn: asyncpg.Connection, sql: str) -> asyncpg.PostgresError:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await _do(conn, sql)
    return caught.value


async def _do(conn: asyncpg.Connection, sql: str) -> None:
    if sql.startswith("copy"):
        await conn.copy_to_table("a", source=_lines())
    else:
        await conn.execute(sql)


async def _lines() -> AsyncIterator[bytes]:
    yield b"9\tz\n"


@pytest.mark.parametrize("sql", WRITES)
async def test_every_form_of_write_is_refused(bench: Bench, sql: str) -> None:
    await bench.ours.execute(f"grant all on free to {bench.role}")
    error = await _refused(bench.app, sql)
    assert error.sqlstate == fence.REFUSED
    assert "stepflow: writes to" in str(error)
    assert error.hint
    assert "sqlite" in error.detail
    assert await bench.ours.fetchval("select count(*) from a") == 2
    await bench.open()
    if sql.startswith("copy"):
        await bench.app.copy_to_table("a", source=_lines())
    else:
        await bench.app.execute(sql)


async def test_a_role_without_any_right_here_meets_the_gate_and_nothing_else(bench: Bench) -> None:
    assert not await bench.ours.fetchval("select has_schema_privilege($1, '_stepflow', 'usage')", bench.role)
    await bench.app.execute("create temp table gate (owner text, writes text); insert into gate values ('me', 'open')")
    await bench.app.execute("set search_path = pg_temp, public")
    assert (await _refused(bench.app, "delete from public.a")).sqlstate == fence.REFUSED
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bench.app.execute("select _stepflow.refuse_write()")


async def test_replica_mode_does_not_get_round_it(bench: Bench) -> None:
    await bench.ours.execute("set session_replication_role = replica")
    assert (await _refused(bench.ours, "delete from a")).sqlstate == fence.REFUSED


async def test_ours_get_through_for_one_transaction(bench: Bench) -> None:
    async with bench.ours.transaction():
        await bench.ours.execute("set local stepflow.origin = 'stepflow'")
        await bench.ours.execute("insert into a values (9, 'z')")
    assert (await _refused(bench.ours, "delete from a")).sqlstate == fence.REFUSED


async def test_closing_waits_for_those_who_have_written_and_names_them(bench: Bench) -> None:
    await bench.open()
    await bench.app.execute("begin")
    await bench.app.execute("insert into a values (9, 'in flight')")
    with pytest.raises(Held) as caught:
        await bench.close(wait=0.1)
    assert caught.value.code == "target_writers"
    assert str(bench.app.get_server_pid()) in caught.value.detail
    assert (await fence.gate_state(bench.ours)).open
    await bench.app.execute("insert into a values (10, 'goes on')")
    closing = asyncio.create_task(bench.close())
    await bench.app.execute("insert into b values (9, 'still mine')")
    await bench.app.execute("commit")
    assert not (await closing).open
    assert await bench.ours.fetchval("select count(*) from a where id in (9, 10)") == 2
    assert (await _refused(bench.app, "delete from a")).sqlstate == fence.REFUSED


async def test_the_application_is_never_the_victim_of_a_deadlock(bench: Bench) -> None:
    """It locks the tables the other way round; the gate gives way each time."""
    await bench.open()
    await bench.app.execute("begin")
    await bench.app.execute("update b set x = 'z'")
    closing = asyncio.create_task(bench.close())
    async with asyncio.timeout(20):
        while not await bench.ours_waits():
            await asyncio.sleep(0)
        await bench.app.execute("update a set x = 'z'")
        await bench.app.execute("commit")
    assert not (await closing).open


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_an_old_snapshot_does_not_write_after_the_closing(bench: Bench, isolation: str) -> None:
    await bench.open()
    await bench.app.execute(f"begin isolation level {isolation}")
    assert await bench.app.fetchval("select count(*) from a") == 2  # its snapshot says "open"
    await bench.close()
    assert (await _refused(bench.app, "insert into a values (9, 'late')")).sqlstate == fence.REFUSED
    await bench.app.execute("rollback")


async def test_a_gate_that_reads_its_row_would_let_an_old_snapshot_write(bench: Bench) -> None:
    """The other way to build it, and why it is not built that way."""
    await bench.open()
    await bench.ours.execute(
        "create function reading() returns trigger language plpgsql security definer as"
        " $$begin if (select writes from _stepflow.gate) <> 'open' then raise exception 'closed'; end if; return new; end$$;"
        "create trigger reading before insert on a for each row execute function reading()"
    )
    await bench.ours.execute(f"drop trigger {fence.TRIGGER} on a")
    await bench.app.execute("begin isolation level repeatable read")
    assert await bench.app.fetchval("select count(*) from a") == 2
    await bench.ours.execute("lock table a in share row exclusive mode; update _stepflow.gate set writes = 'closed'")
    await bench.app.execute("insert into a values (9, 'late')")
    await bench.app.execute("commit")
    assert await bench.ours.fetchval("select count(*) from a where x = 'late'") == 1


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_nothing_is_committed_unseen_after_the_closing(bench: Bench, isolation: str) -> None:
    await bench.open()
    acknowledged: list[int] = []
    stop = asyncio.Event()

    async def writer(number: int) -> None:
        conn = await bench.target.connect()
        await conn.execute(f"set search_path = public; set default_transaction_isolation = '{isolation}'")
        try:
            for i in range(number * 1_000_000, (number + 1) * 1_000_000):
                more = f"update b set x = 'w' where id = {i % 2 + 1};" if i % 3 == 0 else ""
                try:
                    await conn.execute(f"begin; insert into a values ({i}, 'w'); {more} commit")
                except asyncpg.PostgresError as error:
                    await conn.execute("rollback")
                    if error.sqlstate not in (fence.REFUSED, "40001"):
                        raise
                    if stop.is_set() and error.sqlstate == fence.REFUSED:
                        return
                else:
                    acknowledged.append(i)
        finally:
            await conn.close()

    writers = [asyncio.create_task(writer(n)) for n in range(1, 7)]
    total = 0
    for _ in range(4):
        while len(acknowledged) < total + 60:
            assert [w.exception() for w in writers if w.done()] == []
            await asyncio.sleep(0.001)
        await bench.close(wait=30)
        total = await bench.ours.fetchval("select count(*) from a")
        for _ in range(5):  # the writers keep trying
            await asyncio.sleep(0.01)
            assert await bench.ours.fetchval("select count(*) from a") == total
        await bench.open()
    stop.set()
    await bench.close(wait=30)
    await asyncio.gather(*writers)
    stored = {row[0] for row in await bench.ours.fetch("select id from a where x = 'w'")}
    assert stored == set(acknowledged)


async def test_the_version_guards_every_change(bench: Bench) -> None:
    version = await bench.version()
    gate = await bench.open()
    assert (gate.version, gate.owner, gate.open) == (version + 1, Owner.POSTGRESQL, True)
    with pytest.raises(Drift) as caught:
        await fence.close_writes(bench.ours, TABLES, version=version, wait=5)
    assert caught.value.code == "gate_changed"
    await bench.app.execute("insert into a values (9, 'open still')")
    closed = await fence.close_writes(bench.ours, TABLES, version=gate.version, owner=Owner.SQLITE, wait=5)
    assert (closed.owner, closed.open) == (Owner.SQLITE, False)


async def test_installing_again_keeps_the_state_and_removing_leaves_nothing(bench: Bench) -> None:
    await bench.open()
    await fence.install_gate(bench.ours, TABLES, wait=5)
    await bench.app.execute("insert into a values (9, 'z')")
    await bench.close()
    await fence.install_gate(bench.ours, TABLES, wait=5)
    await _refused(bench.app, "delete from a")
    await fence.remove_gate(bench.ours, TABLES, wait=5)
    await bench.app.execute("delete from a where id = 9")
    left = "select (select count(*) from pg_trigger where not tgisinternal) + (select count(*) from pg_proc where pronamespace = '_stepflow'::regnamespace)"
    assert await bench.ours.fetchval(left) == 0


async def test_an_open_gate_fires_nothing(bench: Bench) -> None:
    await bench.open()
    plan = await bench.app.fetch("explain (analyze, costs off, timing off) insert into a values (9, 'z')")
    assert not any(fence.TRIGGER in row[0] for row in plan)
    assert (
        await bench.ours.fetchval(
            "select count(*) from pg_trigger where tgname = $1 and tgenabled = 'D'", fence.TRIGGER
        )
        == 2
    )

"""The control schema: exactly-once segments and statements, one owner, one engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from stepflow_tui.engine.errors import Held, OutcomeUnknown, Refused, StepFlowError
from stepflow_tui.engine.model.discrepancy import RangeDigest, Reject
from stepflow_tui.engine.model.plan import Stage, Statement
from stepflow_tui.engine.postgres import control, ledger
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.ledger import Mode, Segment

RUN = "shop-20260101t000000-abcd"


@pytest.fixture
async def conn(pg_target: Target) -> AsyncIterator[asyncpg.Connection]:
    connection = await pg_target.connect()
    await control.install(connection, RUN)
    yield connection
    connection.terminate()


@pytest.fixture
async def other(pg_target: Target) -> AsyncIterator[asyncpg.Connection]:
    connection = await pg_target.connect()
    yield connection
    connection.terminate()


def statement(sql: str, name: str = "table:t", *, optional: bool = False) -> Statement:
    return Statement(id=name, stage=Stage.TABLE, sql=sql, optional=optional)


async def test_install_twice_and_at_once(pg_target: Target) -> None:
    connections = await asyncio.gather(*(pg_target.connect() for _ in range(4)))
    await asyncio.gather(*(control.install(c, RUN) for c in connections))
    await control.install(connections[0], "another")
    assert await connections[0].fetchval("select count(*) from _stepflow.epoch") == 2
    assert await control.installed(connections[0])
    await control.drop_control_schema(connections[0])
    assert not await control.installed(connections[0])
    assert await control.owner(connections[0]) is None
    for connection in connections:
        await connection.close()


async def test_claim_is_exclusive_and_ends_with_the_session(
    pg_target: Target, conn: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    await control.claim(conn, RUN, schema="public")
    with pytest.raises(Held) as caught:
        await control.claim(other, RUN, schema="public")
    assert caught.value.code == "target_held"
    assert str(conn.get_server_pid()) in caught.value.detail
    await conn.close()
    # the server frees the lock in its own time: wait for the lock itself
    await other.execute("select pg_advisory_lock($1, $2)", control.LOCK_SPACE, control.lock_key("public"))
    await control.claim(other, RUN, schema="public")
    found = await control.owner(other)
    assert found is not None
    assert (found.run, found.target_schema) == (RUN, "public")


async def test_claim_refuses_another_run_and_takes_over_one_that_is_over(
    pg_target: Target, conn: asyncpg.Connection
) -> None:
    await control.claim(conn, RUN, schema="public")
    with pytest.raises(Refused) as caught:
        await control.claim(conn, "second", schema="public")
    assert caught.value.code == "target_owned"
    assert RUN in caught.value.detail
    await control.claim(conn, "second", schema="public", takes_over=frozenset({RUN}))
    found = await control.owner(conn)
    assert found is not None
    assert found.run == "second"


async def test_claim_refuses_a_restored_copy(conn: asyncpg.Connection) -> None:
    await control.claim(conn, RUN, schema="public")
    await conn.execute("update _stepflow.owner set system_identifier = '1'")
    with pytest.raises(Refused) as caught:
        await control.claim(conn, RUN, schema="public")
    assert caught.value.code == "target_other_server"


async def test_segments_round_trip(conn: asyncpg.Connection) -> None:
    epoch = await control.raise_epoch(conn, RUN)
    made = [
        Segment(n=1, table="a", mode=Mode.FAST, lo=None, hi="10"),
        Segment(n=2, table="a", mode=Mode.FAST, lo="10", hi=None),
        Segment(n=3, table='we"ird\n', mode=Mode.SLOW, lo='["x", 1]', hi=None),
    ]
    await ledger.add_segments(conn, RUN, epoch, made)
    await ledger.add_segments(conn, RUN, epoch, [replace(made[0], hi="99")])
    assert await ledger.segments(conn, RUN) == made, "a segment that is there stays as it is"
    assert await ledger.segments(conn, RUN, table="a") == made[:2]
    await ledger.finish_segment(conn, RUN, 1, epoch, rows=10, rejected=1)
    assert [s.n for s in await ledger.open_segments(conn, RUN)] == [2, 3]
    assert (await ledger.segments(conn, RUN))[0] == replace(made[0], done=True, rows=10, rejected=1)
    counts = await ledger.counts(conn, RUN)
    assert (counts["a"].segments, counts["a"].done, counts["a"].rows, counts["a"].rejected) == (2, 1, 10, 1)
    await ledger.forget_table(conn, RUN, "a")
    assert [s.n for s in await ledger.open_segments(conn, RUN)] == [1, 2, 3]


async def test_segment_finishes_once(conn: asyncpg.Connection) -> None:
    epoch = await control.raise_epoch(conn, RUN)
    await ledger.add_segments(conn, RUN, epoch, [Segment(n=1, table="a", mode=Mode.FAST)])
    await ledger.finish_segment(conn, RUN, 1, epoch, rows=1)
    with pytest.raises(Held) as caught:
        await ledger.finish_segment(conn, RUN, 1, epoch, rows=1)
    assert caught.value.code == "superseded"


async def test_superseded_engine_writes_nothing(conn: asyncpg.Connection, other: asyncpg.Connection) -> None:
    """A killed engine's transaction lands after its successor started: either it is seen, or it fails."""
    await conn.execute("create table public.t (x int)")
    first = await control.raise_epoch(conn, RUN)
    await ledger.add_segments(conn, RUN, first, [Segment(n=n, table="t", mode=Mode.FAST) for n in (1, 2)])
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute("insert into public.t values (1)")
    await ledger.finish_segment(conn, RUN, 1, first, rows=1)
    successor = asyncio.create_task(control.raise_epoch(other, RUN))
    await transaction.commit()
    second = await successor
    assert second == first + 1
    assert [s.n for s in await ledger.open_segments(other, RUN)] == [2], "the late commit is seen"
    async with conn.transaction():
        await conn.execute("insert into public.t values (2)")
        with pytest.raises(Held):
            await ledger.finish_segment(conn, RUN, 2, first, rows=1)
        await conn.execute("delete from public.t where x = 2")
    with pytest.raises(Held):
        await ledger.add_segments(conn, RUN, first, [Segment(n=3, table="t", mode=Mode.FAST)])
    await ledger.finish_segment(other, RUN, 2, second, rows=1)
    assert len(await ledger.segments(other, RUN)) == 2


async def test_two_runs_do_not_mix(conn: asyncpg.Connection) -> None:
    await control.install(conn, "second")
    for run in (RUN, "second"):
        epoch = await control.raise_epoch(conn, run)
        await ledger.add_segments(conn, run, epoch, [Segment(n=1, table=run, mode=Mode.FAST)])
    await ledger.finish_segment(conn, RUN, 1, 1, rows=5)
    assert [s.table for s in await ledger.open_segments(conn, "second")] == ["second"]


async def test_statement_runs_once(conn: asyncpg.Connection) -> None:
    create = statement("create table public.t (x int)")
    assert await control.run_statement(conn, RUN, create) == control.StatementOutcome()
    assert (await control.run_statement(conn, RUN, create)).skipped
    assert await control.done_statements(conn, RUN) == {"table:t"}
    with pytest.raises(Refused) as caught:
        await control.run_statement(conn, RUN, statement("create table public.t (y int)"))
    assert caught.value.code == "statement_changed"
    await control.forget_statements(conn, RUN, ["table:t"])
    assert await control.done_statements(conn, RUN) == frozenset()


async def test_statement_at_once_runs_once(conn: asyncpg.Connection, other: asyncpg.Connection) -> None:
    """The predecessor's transaction is still under way: we wait for it and then find it done."""
    create = statement("create table public.t (x int)")
    outcomes = await asyncio.gather(control.run_statement(conn, RUN, create), control.run_statement(other, RUN, create))
    assert sorted(o.skipped for o in outcomes) == [False, True]


async def test_optional_statement_gives_the_servers_words(conn: asyncpg.Connection) -> None:
    await conn.execute("create table public.t (x int); insert into public.t values (1)")
    sql = "alter table public.t add check (x > 1)"
    outcome = await control.run_statement(conn, RUN, statement(sql, "check:t", optional=True))
    assert outcome.sqlstate == "23514"
    assert "is violated by some row" in outcome.refused
    assert await control.done_statements(conn, RUN) == frozenset()
    with pytest.raises(StepFlowError):
        await control.run_statement(conn, RUN, statement(sql, "check:t"))


async def test_statement_on_a_broken_connection_has_an_unknown_outcome(
    conn: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    sql = f"select pg_terminate_backend({conn.get_server_pid()})"
    with pytest.raises(OutcomeUnknown):
        await control.run_statement(conn, RUN, statement(sql, optional=True))
    assert await control.done_statements(other, RUN) == frozenset()


async def test_rejects_round_trip(conn: asyncpg.Connection) -> None:
    epoch = await control.raise_epoch(conn, RUN)
    await ledger.add_segments(conn, RUN, epoch, [Segment(n=1, table="t", mode=Mode.SLOW)])
    made = [
        Reject(table="t", key={"id": 7}, column="name", reason="NUL", value=b"a\x00b"),
        Reject(table="t", key={"rowid": -(2**63)}, column=None, reason="whole row"),
        Reject(table="u", key={"k": b"\xff", "x": 0.1, "y": None, "z": "ü"}, column="c", reason="r", value=b""),
    ]
    async with conn.transaction():
        await ledger.add_rejects(conn, RUN, 1, made)
        await ledger.finish_segment(conn, RUN, 1, epoch, rows=0, rejected=3)
    assert await ledger.rejects(conn, RUN) == made
    assert await ledger.rejects(conn, RUN, table="u") == made[2:]
    await ledger.forget_table(conn, RUN, "t")
    assert await ledger.rejects(conn, RUN) == made[2:]


async def test_rejects_vanish_with_their_segment(conn: asyncpg.Connection) -> None:
    transaction = conn.transaction()
    await transaction.start()
    await ledger.add_rejects(conn, RUN, 1, [Reject(table="t", key={"id": 1}, column=None, reason="r")])
    with pytest.raises(Held):
        await ledger.finish_segment(conn, RUN, 1, 1, rows=0, rejected=1)
    await transaction.rollback()
    assert await ledger.rejects(conn, RUN) == []


async def test_digests_round_trip(conn: asyncpg.Connection) -> None:
    ranges = (
        RangeDigest(n=0, lo=None, hi="5", rows=5, sha256="aa"),
        RangeDigest(n=1, lo="5", hi=None, rows=0, sha256="bb"),
    )
    await ledger.put_digests(conn, RUN, "t", ranges)
    await ledger.put_digests(conn, RUN, "t", ranges[:1])
    assert await ledger.digests(conn, RUN, "t") == ranges[:1]
    assert await ledger.digests(conn, RUN, "u") == ()


async def test_anchor_only_grows(conn: asyncpg.Connection) -> None:
    assert await control.anchor(conn, RUN) is None
    await control.set_anchor(conn, RUN, 5, "head5")
    await control.set_anchor(conn, RUN, 4, "head4")
    assert await control.anchor(conn, RUN) == (5, "head5")
    await control.set_anchor(conn, RUN, 6, "head6")
    assert await control.anchor(conn, RUN) == (6, "head6")


async def test_flush_makes_earlier_commits_durable(conn: asyncpg.Connection) -> None:
    await conn.execute("set synchronous_commit = off")
    await conn.execute("create table public.t (x int); insert into public.t values (1)")
    before = await conn.fetchval("select pg_current_wal_insert_lsn()")
    await control.flush_commits(conn)
    assert await conn.fetchval("select pg_current_wal_flush_lsn() >= $1::pg_lsn", before)
    assert await conn.fetchval("show synchronous_commit") == "off", "the session's own setting is back"

"""Locks on tables in use: whoever reads meanwhile is never kept waiting behind us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from stepflow_tui.engine.errors import Held
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.table_locks import in_tries

DROP = "alter table public.t drop column gone"
READ = "select count(*) from public.t"
WAITING = "select count(*) from pg_locks where not granted and relation = 'public.t'::regclass and mode = 'AccessExclusiveLock'"


@pytest.fixture
async def conns(pg_target: Target) -> AsyncIterator[tuple[asyncpg.Connection, asyncpg.Connection, asyncpg.Connection]]:
    """Ours, one of a slow reader that is in its transaction, one of another reader."""
    ours, slow, other = [await pg_target.connect() for _ in range(3)]
    await ours.execute("create table public.t(id int, gone int); insert into public.t values (1, 1)")
    await slow.execute(f"begin; {READ}")
    await other.execute("set lock_timeout = '5s'")
    yield ours, slow, other
    for conn in (ours, slow, other):
        conn.terminate()


async def _drop(conn: asyncpg.Connection) -> None:
    await conn.execute(DROP)


async def _until_it_waits(conn: asyncpg.Connection) -> None:
    while not await conn.fetchval(WAITING):
        await asyncio.sleep(0.005)


async def test_readers_come_through_while_a_column_waits_to_be_dropped(
    conns: tuple[asyncpg.Connection, asyncpg.Connection, asyncpg.Connection],
) -> None:
    ours, slow, other = conns
    work = asyncio.create_task(in_tries(ours, ["public.t"], _drop, wait=60))
    await _until_it_waits(other)
    assert await other.fetchval(READ) == 1
    await slow.execute("commit")
    await work
    assert (
        await other.fetchval(
            "select count(*) from pg_attribute where attrelid = 'public.t'::regclass and attname = 'gone'"
        )
        == 0
    )


async def test_without_tries_they_queue_behind_it(
    conns: tuple[asyncpg.Connection, asyncpg.Connection, asyncpg.Connection],
) -> None:
    ours, slow, other = conns
    work = asyncio.create_task(_drop(ours))
    await _until_it_waits(other)
    await other.execute("set lock_timeout = '1s'")
    with pytest.raises(asyncpg.LockNotAvailableError):
        await other.fetchval(READ)
    await slow.execute("commit")
    await work


async def test_who_stays_is_named_and_nothing_has_changed(
    conns: tuple[asyncpg.Connection, asyncpg.Connection, asyncpg.Connection],
) -> None:
    ours, slow, other = conns
    pid = await slow.fetchval("select pg_backend_pid()")
    with pytest.raises(Held) as caught:
        await in_tries(ours, ["public.t"], _drop, wait=0)
    assert caught.value.code == "target_writers"
    assert f"backend {pid} (" in (caught.value.detail or "")
    assert "idle in transaction" in (caught.value.detail or "")
    assert await other.fetchval("select gone from public.t") == 1

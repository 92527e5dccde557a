"""Writes that move between real databases, there and back, while threads and tasks write through the client."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import threading
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from stepflow_tui.client import (
    AsyncReadRouter,
    FenceTimeout,
    ReadRouter,
    Side,
    is_fenced,
    with_fence_retry,
    write_owner,
)
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.plan import ColumnPlan, Compare, CompareKind, TablePlan, Walk, WalkKind
from stepflow_tui.engine.postgres import control
from stepflow_tui.engine.postgres import fence as pg_fence
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.live_tables import install_live
from stepflow_tui.engine.sqlite import fence as lite_fence
from tests.copy_kit import INTEGER
from tests.reverse_kit import install_capture
from tests.switch_kit import RUN

TABLES = (
    TablePlan(
        source="t", schema="public", name="t", primary_key=("id",), live_key=("id",),
        columns=(ColumnPlan(source="id", target="id", declared="integer", type=INTEGER),),
        walk=Walk(kind=WalkKind.SINGLE), compare=Compare(kind=CompareKind.KEY, columns=("id",)),
    ),
)  # fmt: skip


@dataclass
class App:
    """An application with one table on both sides, and who has acknowledged what."""

    path: Path
    target: Target
    ours: asyncpg.Connection
    pool: asyncpg.Pool
    loop: asyncio.AbstractEventLoop
    ids: Any = field(default_factory=lambda: itertools.count(1))
    acknowledged: list[tuple[int, Side]] = field(default_factory=list)
    refused: list[BaseException] = field(default_factory=list)

    def write_lite(self, n: int) -> None:
        conn = sqlite3.connect(self.path, timeout=10)
        try:
            with conn:
                conn.execute("insert into t values (?)", (n,))
        finally:
            conn.close()

    async def write_pg(self, n: int) -> None:
        await self.pool.execute("insert into public.t values ($1)", n)

    def write(self, side: Side, n: int) -> Side:
        """One transaction, without asyncio."""
        try:
            if side == "sqlite":
                self.write_lite(n)
            else:
                asyncio.run_coroutine_threadsafe(self.write_pg(n), self.loop).result(20)
        except Exception as error:
            self.refused.append(error)
            raise
        return side

    async def write_async(self, side: Side, n: int) -> Side:
        """One transaction, with asyncio."""
        try:
            await (asyncio.to_thread(self.write_lite, n) if side == "sqlite" else self.write_pg(n))
        except Exception as error:
            self.refused.append(error)
            raise
        return side

    async def grown(self, list_of: list[Any], by: int) -> None:
        """Wait until the writers have added so many."""
        wanted = len(list_of) + by
        while len(list_of) < wanted:
            await asyncio.sleep(0.005)

    async def forth(self, *, felt: bool = False) -> None:
        """As a cutover does it; ``felt``: not before a writer was refused."""
        await lite_fence.raise_fence(self.path, ["t"], owner=Owner.SQLITE, wait=10)
        await self.grown(self.refused, int(felt))
        await pg_fence.open_writes(self.ours, TABLES, version=await self._version(), owner=Owner.POSTGRESQL, wait=10)
        await lite_fence.set_owner(self.path, Owner.POSTGRESQL, wait=10)

    async def back(self, *, felt: bool = False) -> None:
        """As a rollback does it; ``felt``: not before a writer was refused."""
        await pg_fence.close_writes(self.ours, TABLES, version=await self._version(), wait=10)
        await self.grown(self.refused, int(felt))
        await lite_fence.lift_fence(self.path, owner=Owner.SQLITE, wait=10)

    async def _version(self) -> int:
        return (await pg_fence.gate_state(self.ours)).version

    async def rows(self) -> dict[Side, list[int]]:
        with sqlite3.connect(self.path) as conn:
            lite = [row[0] for row in conn.execute("select id from t order by id")]
        conn.close()
        return {
            "sqlite": lite,
            "postgresql": [r[0] for r in await self.pool.fetch("select id from public.t order by id")],
        }


@pytest.fixture(params=["wal", "delete"])
async def app(tmp_path: Path, pg_target: Target, request: pytest.FixtureRequest) -> AsyncIterator[App]:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as conn:
        conn.execute(f"pragma journal_mode={request.param}")
        conn.execute("create table t(id integer primary key)")
    conn.close()
    await install_capture(path, TABLES)
    ours = await pg_target.connect()
    await control.install(ours, RUN)
    await install_live(ours)
    await ours.execute("create table public.t(id bigint primary key)")
    await pg_fence.install_gate(ours, TABLES, wait=5)
    pool = await asyncpg.create_pool(pg_target.application_uri(), min_size=1, max_size=4)
    yield App(path, pg_target, ours, pool, asyncio.get_running_loop())
    await pool.close()
    await ours.close()


async def test_every_acknowledged_write_is_there_once_whatever_moves(app: App) -> None:
    stop = threading.Event()
    failed: list[BaseException] = []

    def thread() -> None:
        with ReadRouter(app.path, refresh=0.05) as router:
            while not stop.is_set():
                n = next(app.ids)
                try:
                    app.acknowledged.append((n, router.write(lambda side, n=n: app.write(side, n), timeout=20)))
                except BaseException as error:
                    failed.append(error)
                    return

    async def task() -> None:
        async with AsyncReadRouter(app.path, refresh=0.05) as router:
            while not stop.is_set():
                n = next(app.ids)

                async def once(side: Side, n: int = n) -> Side:
                    return await app.write_async(side, n)

                app.acknowledged.append((n, await router.write(once, timeout=20)))

    threads = [threading.Thread(target=thread) for _ in range(3)]
    for one in threads:
        one.start()
    tasks = [asyncio.create_task(task()) for _ in range(3)]
    for _ in range(3):
        await app.grown(app.acknowledged, 30)
        await app.forth(felt=True)
        await app.grown(app.acknowledged, 30)
        await app.back(felt=True)
    await app.grown(app.acknowledged, 30)
    stop.set()
    await asyncio.gather(*tasks)
    for one in threads:
        await asyncio.to_thread(one.join)
    assert failed == []
    rows = await app.rows()
    for side in ("sqlite", "postgresql"):
        assert rows[side] == sorted(n for n, where in app.acknowledged if where == side)
        assert rows[side]
    assert app.refused  # the moves were felt, and nobody outside noticed
    assert all(is_fenced(error) for error in app.refused)


async def test_without_the_retry_the_same_moves_are_noticed(app: App) -> None:
    await app.forth()
    with pytest.raises(sqlite3.IntegrityError) as lite:
        app.write_lite(1)
    await app.back()
    with pytest.raises(asyncpg.PostgresError) as pg:
        await app.write_pg(1)
    assert is_fenced(lite.value)
    assert is_fenced(pg.value)
    assert not is_fenced(sqlite3.IntegrityError("UNIQUE constraint failed: t.id"))


async def test_the_owner_is_read_from_the_file(app: App) -> None:
    assert write_owner(app.path) == "sqlite"
    await app.forth()
    assert write_owner(app.path) == "postgresql"
    assert write_owner(app.path.with_name("none.db")) == "sqlite"
    assert write_owner(app.path.with_name("none.db"), unmanaged="postgresql") == "postgresql"


async def test_decorated_functions_of_both_kinds(app: App) -> None:
    @with_fence_retry(app.path, timeout=10)
    def add(side: Side, n: int) -> Side:
        return app.write(side, n)

    @with_fence_retry(app.path, timeout=10)
    async def add_async(side: Side, n: int) -> Side:
        return await app.write_async(side, n)

    assert (await asyncio.to_thread(add, 1), await add_async(2)) == ("sqlite", "sqlite")
    await app.forth()
    assert (await asyncio.to_thread(add, 3), await add_async(4)) == ("postgresql", "postgresql")
    assert await app.rows() == {"sqlite": [1, 2], "postgresql": [3, 4]}


async def test_waiting_for_a_move_that_never_comes_is_bounded(app: App) -> None:
    await lite_fence.raise_fence(app.path, ["t"], owner=Owner.SQLITE, wait=5)
    router = ReadRouter(app.path)
    with pytest.raises(FenceTimeout) as caught:
        await asyncio.to_thread(router.write, lambda side: app.write(side, 1), timeout=0.3)
    assert is_fenced(caught.value)
    asyn = AsyncReadRouter(app.path)
    with pytest.raises(FenceTimeout):
        await asyn.write(lambda side: app.write_async(side, 1), timeout=0.3)
    assert await app.rows() == {"sqlite": [], "postgresql": []}


async def test_a_fence_that_is_lifted_again_is_waited_out(app: App) -> None:
    """A cutover that was taken back: the same side, a moment later."""
    await lite_fence.raise_fence(app.path, ["t"], owner=Owner.SQLITE, wait=5)
    router = AsyncReadRouter(app.path)

    async def lift() -> None:
        while not app.refused:
            await asyncio.sleep(0.01)
        await lite_fence.lift_fence(app.path, wait=5)

    work: Coroutine[Any, Any, Side] = router.write(lambda side: app.write_async(side, 1), timeout=10)
    said, _ = await asyncio.gather(work, lift())
    assert said == "sqlite"
    assert await app.rows() == {"sqlite": [1], "postgresql": []}


async def test_other_errors_are_the_callers(app: App) -> None:
    router = ReadRouter(app.path)
    app.write_lite(1)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        await asyncio.to_thread(router.write, lambda side: app.write(side, 1))
    assert len(app.refused) == 1

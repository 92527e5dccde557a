"""Shadow reads by the engine over a real live migration: figures, mismatches that are none, and those that are."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.live.points import CommonPoint
from stepflow_tui.engine.live.verifier import LiveVerifier
from stepflow_tui.engine.model.config import SwitchReads
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.switch.reports import Batch, Suspect
from stepflow_tui.engine.switch.shadow import ShadowReads
from tests.integration.plan_kit import source
from tests.live_verify_kit import RUN, SHOP, Live, execute, going_live, verifier, writers
from tests.switch_kit import bench


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(1) as workers:
        yield workers


def shadow(live: Live, made: LiveVerifier, **more: Any) -> ShadowReads:
    return ShadowReads(
        live.tail, made, **({"per_second": 30, "clock": SystemClock(), "chance": random.Random(1)} | more)
    )


SMALL = """
create table plain(a text, b int);
create table named(k text primary key, v int);
create table pair(a text, b int, v int, primary key (a, b));
create table tight(a text, b int, v int, primary key (a, b)) without rowid;
create table blob(k blob primary key, v int) without rowid;
create table empty(id integer primary key, v int);
"""
ROWS = "".join(
    f"insert into plain values ('p{n}', {n}); insert into named values ('k{n}', {n});"
    f"insert into pair values ('a{n % 2}', {n}, {n}); insert into tight values ('a{n % 2}', {n}, {n});"
    f"insert into blob values (x'0{n}', {n});"
    for n in range(3)
)


@asynccontextmanager
async def shop(
    tmp_path: Path, target: Target, pool: WorkerPool, sql: str = SHOP
) -> AsyncIterator[tuple[Live, LiveVerifier]]:
    path = source(tmp_path / "shop.db", f"pragma journal_mode=wal;{sql}")
    async with going_live(path, target, pool) as live:
        made = verifier(live.job, live.tail)
        try:
            yield live, made
        finally:
            await made.close()


async def test_figures_without_any_application(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    async with shop(tmp_path, pg_target, pool) as (live, made):
        reads = shadow(live, made)
        for _ in range(3):
            await reads.round()
        batch = reads.take()
        assert batch.shadow.old.requests + batch.skipped >= 75  # the budget: reads, and time
        assert batch.shadow.new.requests == batch.shadow.old.requests == batch.shadows > 0
        assert (batch.shadow.new.errors, batch.shadow.new.timeouts, batch.mismatches) == (0, 0, 0)
        assert batch.shadow.new.quantile(0.5) is not None
        assert reads.take().shadows == 0


async def test_under_load_no_lag_counts_as_a_mismatch(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    async with shop(tmp_path, pg_target, pool) as (live, made):
        reads = shadow(live, made, per_second=100)
        running = asyncio.create_task(live.tail.run())
        busy = writers(live.path, 2, 4.0)
        rounds = 0
        while any(w.poll() is None for w in busy):
            await reads.round()
            rounds += 1
        for writer in busy:
            await asyncio.to_thread(writer.communicate)
        running.cancel()
        batch = reads.take()
        assert rounds > 1
        assert batch.shadows > 0
        assert batch.mismatches == 0


class Unlevel:
    """Negative control: both sides read at moments of their own, as if lag did not matter."""

    def __init__(self, live: Live) -> None:
        self._live = live

    @asynccontextmanager
    async def point(self) -> AsyncIterator[CommonPoint]:
        from stepflow_tui.engine.sqlite.connect import open_living

        target = await self._live.target.connect()
        try:
            async with target.transaction(isolation="repeatable_read", readonly=True):
                await target.fetchval("select 1 from post limit 1")
                execute(self._live.path, "update post set body = body || '!'")
                conn = open_living(self._live.path, exact_rows=True)
                try:
                    conn.execute("begin")
                    yield CommonPoint(n=0, source=conn, target=target)
                finally:
                    conn.close()
        finally:
            await target.close()


async def test_reading_at_different_moments_would_see_mismatches(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    async with shop(tmp_path, pg_target, pool) as (live, made):
        reads = ShadowReads(Unlevel(live), made, per_second=50, clock=SystemClock(), chance=random.Random(1))
        await reads.round()
        await reads.round()
        assert reads.take().mismatches > 0


async def test_a_row_that_differs_counts_at_the_second_look(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    async with shop(tmp_path, pg_target, pool) as (live, made):
        await live.sql("update word set x = x + 1000", "delete from post where id = 7")
        reads = shadow(live, made, per_second=100)
        await reads.round()
        assert reads.take().mismatches == 0
        found = 0
        for _ in range(20):  # a busy machine makes fewer reads of a round
            await reads.round()
            found += reads.take().mismatches
            if found > 10:
                break
        assert found > 10


async def test_a_difference_that_goes_away_never_counts(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    async with shop(tmp_path, pg_target, pool) as (live, made):
        await live.sql("update word set x = x + 1000")
        reads = shadow(live, made, per_second=100)
        await reads.round()
        await live.sql("update word set x = x - 1000")
        for _ in range(3):
            await reads.round()
        assert reads.take().mismatches == 0


async def test_what_an_application_suspects_is_looked_at(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    async with shop(tmp_path, pg_target, pool) as (live, made):
        await live.sql("update post set body = 'other' where id = 11", "update word set x = -1 where w = 'zz5'")
        reads = shadow(live, made, per_second=0)
        reads.suspect(
            [
                Suspect(table="post", key="11"),
                Suspect(table="post", key="12"),
                Suspect(table="post", key="no number"),
                Suspect(table="word", key="zz5"),
                Suspect(table="nothing", key="1"),
            ]
        )
        await reads.round()
        assert reads.take().mismatches == 2
        await reads.round()
        assert reads.take().mismatches == 0


async def test_a_side_that_hangs_counts_as_timed_out_and_holds_nobody(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    async with shop(tmp_path, pg_target, pool) as (live, made):
        reads = shadow(live, made, timeout=0.2)
        for table in ("post", "word", "note"):
            await live.sql(
                f"alter table public.{table} rename to {table}_real",
                f"create view public.{table} as select r.* from public.{table}_real r, pg_sleep(30)",
            )
        async with asyncio.timeout(15):
            await reads.round()
        batch = reads.take()
        assert batch.shadow.new.timeouts == 1  # the first one ends the round
        assert batch.shadow.old.requests >= 1


async def test_a_target_that_is_gone_ends_a_round_not_the_service(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    async with shop(tmp_path, pg_target, pool) as (live, made):
        reads = shadow(live, made)
        await live.sql("drop table post, word, note cascade")
        task = asyncio.create_task(reads.run())
        batch = Batch()
        async with asyncio.timeout(20):
            while not batch.shadow.new.errors and reads.failure is None:
                await asyncio.sleep(0.05)
                batch.merge(reads.take())
        assert not task.done()
        task.cancel()


async def test_the_controller_rises_by_shadow_reads_alone_and_falls_by_a_mismatch(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    async with shop(tmp_path, pg_target, pool) as (live, made):
        conn = await pg_target.connect()
        reads = shadow(live, made, per_second=200)
        config = SwitchReads(steps=(50, 100), soak=60.0)
        b = bench(config, live.path, conn, pg_target, shadow=reads, run=RUN)
        for _ in range(20):
            await reads.round()
            await b.tick(seconds=20.0)
            if b.controller.finished.is_set():
                break
        assert b.moves == [50, 100]
        assert b.gauge["verdict"]["code"] == "healthy"
        assert b.gauge["reported"] == 0
        await conn.execute("update post set body = 'other' where id = 11")
        body = json.dumps({"suspects": [{"table": "post", "key": "11"}]})
        await conn.execute("select _stepflow.report('r', $1)", body)
        await b.tick()
        await reads.round()
        await b.tick()
        assert b.share == 0
        assert b.events[-1][1]["signal"] == "mismatches"
        await conn.close()


async def test_small_tables_of_every_key_are_read_whole_then_again_and_again(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    async with shop(tmp_path, pg_target, pool, SMALL + ROWS) as (live, made):
        reads = shadow(live, made, per_second=30)
        await reads.round()
        assert reads.passed
        assert not reads.nothing
        batch = reads.take()
        assert (batch.shadows, batch.skipped) == (3 * 5, 0)
        await reads.round()
        again = reads.take()
        assert again.shadows + again.skipped == 30  # as often as the budget asks, although there are fewer rows
        assert again.shadow.new.errors == again.mismatches == 0


async def test_a_pass_that_finds_a_difference_is_complete_after_the_second_look(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    async with shop(tmp_path, pg_target, pool, SMALL + ROWS) as (live, made):
        await live.sql("update pair set v = 1000 where b = 1", "update tight set v = 1000 where b = 2")
        reads = shadow(live, made, per_second=30)
        await reads.round()
        assert not reads.passed
        await reads.round()
        assert (reads.passed, reads.take().mismatches) == (True, 2)
        reads.restart()
        assert not reads.passed


async def test_a_source_without_rows_is_passed_at_once(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    async with shop(tmp_path, pg_target, pool, SMALL) as (live, made):
        reads = shadow(live, made)
        await reads.round()
        assert reads.passed
        assert reads.nothing
        execute(live.path, "insert into named values ('first', 1)")
        await live.tail.step()
        await reads.round()
        assert not reads.nothing  # from now on there is something to measure


async def test_a_large_table_is_sampled(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    rows = "insert into named select 'k' || value, value from generate_series(1, 3000);"
    rows += "insert into tight select 'a', value, value from generate_series(1, 3000);"
    many = "with recursive g(value) as (select 1 union all select value + 1 from g where value < 3000)"
    sql = SMALL + rows.replace(" from generate_series(1, 3000)", " from g").replace(
        "insert into", f"{many} insert into"
    )
    async with shop(tmp_path, pg_target, pool, sql) as (live, made):
        reads = shadow(live, made, per_second=500)
        for _ in range(20):
            await reads.round()
            if reads.passed:
                break
        assert reads.passed
        assert 100 < reads.take().shadows < 3_000


async def test_hushed_they_stop_at_once_and_go_on_when_asked(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    """While writes move nobody may hold a snapshot of the source."""
    async with shop(tmp_path, pg_target, pool) as (live, made):
        conn = await pg_target.connect()
        points = Counting(live)
        reads = ShadowReads(points, made, per_second=200, clock=SystemClock(), chance=random.Random(1))
        b = bench(
            SwitchReads(soak=60.0), live.path, conn, pg_target, shadow=reads, run=RUN, clock=SystemClock()
        )  # fmt: skip
        leading = asyncio.create_task(b.controller.run())
        async with asyncio.timeout(60):
            await points.opening.wait()
            await b.controller.hush()
            assert points.open == 0
            made_so_far, version = points.made, b.gauge["held_seconds"]
            while b.gauge["held_seconds"] < version + 2.0:  # it goes on leading
                await asyncio.sleep(0.05)
            assert points.made == made_so_far
            points.opening.clear()
            b.controller.speak()
            await points.opening.wait()
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)
        assert points.open == 0
        await conn.close()


class Counting:
    """The tail's points, and how many are open."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.open = self.made = 0
        self.opening = asyncio.Event()

    @asynccontextmanager
    async def point(self) -> AsyncIterator[CommonPoint]:
        async with self._live.tail.point() as point:
            self.open, self.made = self.open + 1, self.made + 1
            self.opening.set()
            try:
                yield point
            finally:
                self.open -= 1

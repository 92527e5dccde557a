"""Pause, stop, abort, dying workers, a lost or full target: nothing twice, nothing missing, and the words for it."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from stepflow_tui.engine.bulk.copy import CopyJob, CopyResult
from stepflow_tui.engine.bulk.outcome import SegmentResult, WorkOrder
from stepflow_tui.engine.bulk.pool import WorkerLost, WorkerPool
from stepflow_tui.engine.bulk.segment_job import copy_segment
from stepflow_tui.engine.bulk.throttle import ACTIVE, RATE, LoadLimits
from stepflow_tui.engine.errors import DiskFull, Held, StepFlowError, Stopping, TargetConnectionError
from stepflow_tui.engine.model.progress import EtaState, Progress
from stepflow_tui.engine.model.types import ColumnType, Kind
from stepflow_tui.engine.postgres import control, ledger
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.embedded import Embedded
from tests.conftest import SERVER_OPTIONS, run_async
from tests.copy_kit import INTEGER, RUN, TEXT, fetch, make_file, make_job, plan_table, prepare, run_copy

ROWS = 60
PER_SEGMENT = 3


class Wishes:
    """A control that a test drives."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.ending: Stopping | None = None
        self.waiting = asyncio.Event()

    @property
    def halted(self) -> bool:
        return not self.go.is_set() or self.ending is not None

    async def checkpoint(self) -> None:
        if self.ending is not None:
            raise self.ending
        if not self.go.is_set():
            self.waiting.set()
            await self.go.wait()
            if self.ending is not None:
                raise self.ending


async def small_job(tmp_path: Path, target: Target, **changes: Any) -> CopyJob:
    """A table of 20 segments."""
    path = make_file(
        tmp_path / "t.db",
        "create table t(id integer primary key, x text)",
        {"t": [(i, f"row {i}") for i in range(ROWS)]},
    )
    job = make_job(
        path, target, plan_table(path, "t", {"id": INTEGER, "x": TEXT}), max_rows_per_second=PER_SEGMENT * 10 // 3
    )
    job = await prepare(job)
    return replace(job, max_rows_per_second=None, **changes)


async def is_whole(target: Target) -> bool:
    """Whether every row is there once and every segment done."""
    rows = await fetch(target, "select id, x from t order by id")
    open_ones = await fetch(target, "select count(*) from _stepflow.ledger where state = 'open'")
    return rows == [(i, f"row {i}") for i in range(ROWS)] and open_ones == [(0,)]


async def agrees(target: Target) -> int:
    """Rows in the table, which must be those of the segments done, and the number of these."""
    [(rows, distinct)] = await fetch(target, "select count(*), count(distinct id) from t")
    [(done, noted)] = await fetch(
        target, "select count(*), coalesce(sum(rows), 0)::bigint from _stepflow.ledger where state = 'done'"
    )
    assert rows == distinct == noted
    return int(done)


@asynccontextmanager
async def locked(
    target: Target, sql: str = "lock table t in access exclusive mode"
) -> AsyncIterator[asyncpg.Connection]:
    """A session that holds up every write to the table."""
    connection = await target.connect()
    await connection.execute("begin")
    await connection.execute(sql)
    try:
        yield connection
    finally:
        if not connection.is_closed():
            await connection.execute("rollback")
            await connection.close()


async def until_blocked(target: Target) -> int:
    """The backend of a worker that waits for a lock."""
    connection = await target.connect()
    try:
        while True:
            pid = await connection.fetchval(
                "select pid from pg_stat_activity where application_name like 'stepflow copy%' and wait_event_type = 'Lock'"
                " and datname = current_database()"
            )
            if pid is not None:
                return int(pid)
    finally:
        await connection.close()


async def test_a_killed_worker_is_replaced_and_its_segment_done_again(tmp_path: Path, pg_target: Target) -> None:
    job = await small_job(tmp_path, pg_target)
    async with WorkerPool(1) as pool:
        async with locked(pg_target):
            task = asyncio.create_task(run_copy(job, pool=pool))
            await until_blocked(pg_target)
            os.kill(pool.pids[0], signal.SIGKILL)
        result = await task
    assert result.tables["t"].rows == ROWS
    assert await is_whole(pg_target)


async def test_a_worker_that_always_dies_stops_its_table(
    tmp_path: Path, pg_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await small_job(tmp_path, pg_target)
    monkeypatch.setenv("STEPFLOW_FAILPOINT", "segment_ingested:1:kill")
    result = await run_copy(job)
    assert isinstance(result.tables["t"].error, WorkerLost)
    assert await agrees(pg_target) == 0


@pytest.mark.parametrize("point", ["segment_ingested:2:kill", "segment_committed:2:kill", "segment_committed:1:kill"])
async def test_workers_that_die_around_their_commit(
    tmp_path: Path, pg_target: Target, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    job = await small_job(tmp_path, pg_target, streams=2)
    monkeypatch.setenv("STEPFLOW_FAILPOINT", point)
    result = await run_copy(job)
    assert result.errors == ()
    assert await is_whole(pg_target)


async def test_a_cut_connection_is_made_again(tmp_path: Path, pg_target: Target) -> None:
    job = await small_job(tmp_path, pg_target, retry_seconds=(0, 0, 0))
    async with locked(pg_target) as holder:
        task = asyncio.create_task(run_copy(job))
        pid = await until_blocked(pg_target)
        await holder.execute("select pg_terminate_backend($1)", pid)
        await until_blocked(pg_target)
    result = await task
    assert result.errors == ()
    assert await is_whole(pg_target)


async def test_a_target_that_stays_lost_ends_the_copy_and_a_resume_finishes_it(
    tmp_path: Path, pg_target: Target
) -> None:
    job = await small_job(tmp_path, pg_target, retry_seconds=())
    async with locked(pg_target) as holder:
        task = asyncio.create_task(run_copy(job))
        await holder.execute("select pg_terminate_backend($1)", await until_blocked(pg_target))
        with pytest.raises(TargetConnectionError):
            await task
    await agrees(pg_target)
    assert (await run_copy(job)).tables["t"].rows == ROWS
    assert await is_whole(pg_target)


async def test_a_full_disk_of_the_target_ends_the_copy(tmp_path: Path, pg_target: Target) -> None:
    job = await small_job(tmp_path, pg_target)
    await fetch(
        pg_target,
        "create function full_disk() returns trigger language plpgsql as $$ begin"
        " if (select count(*) from t) > 6 then raise exception 'no space left on device' using errcode = '53100'; end if; return null; end $$",
    )
    await fetch(pg_target, "create trigger full_disk after insert on t execute function full_disk()")
    with pytest.raises(DiskFull, match="disk is full"):
        await run_copy(job)
    assert await agrees(pg_target) == 2
    await fetch(pg_target, "drop trigger full_disk on t")
    await run_copy(job)
    assert await is_whole(pg_target)


async def test_a_trigger_that_drops_rows_is_noticed(tmp_path: Path, pg_target: Target) -> None:
    path = make_file(tmp_path / "s.db", "create table t(id integer, x text)", {"t": [(1, "::1")]})
    plan = plan_table(path, "t", {"id": INTEGER, "x": ColumnType(kind=Kind.OTHER, sql="inet")})
    job = await prepare(make_job(path, pg_target, plan))
    await fetch(pg_target, "create function swallow() returns trigger language plpgsql as $$ begin return null; end $$")
    await fetch(pg_target, "create trigger swallow before insert on t for each row execute function swallow()")
    error = (await run_copy(job)).tables["t"].error
    assert isinstance(error, StepFlowError)
    assert error.code == "rows_written"
    assert await agrees(pg_target) == 0


async def test_a_newer_engine_takes_over(tmp_path: Path, pg_target: Target) -> None:
    job = await small_job(tmp_path, pg_target)
    async with locked(pg_target) as holder:
        task = asyncio.create_task(run_copy(job))
        await until_blocked(pg_target)
        other = await pg_target.connect()
        epoch = await control.raise_epoch(other, RUN)
        await other.close()
        assert not holder.is_closed()
    with pytest.raises(Held, match="taken over"):
        await task
    assert await agrees(pg_target) == 0
    await run_copy(replace(job, epoch=epoch))
    assert await is_whole(pg_target)


async def test_abort_cancels_a_statement_that_waits(tmp_path: Path, pg_target: Target) -> None:
    job = await small_job(tmp_path, pg_target)
    wishes = Wishes()
    async with locked(pg_target):
        task = asyncio.create_task(run_copy(job, control=wishes))
        await until_blocked(pg_target)
        wishes.ending = Stopping(abort=True)
        with pytest.raises(Stopping) as caught:
            await task
        assert caught.value.abort
        left = "select count(*) from pg_stat_activity where application_name like 'stepflow copy%' and datname = current_database()"
        while await fetch(pg_target, left) != [(0,)]:  # while the lock is still held: the statement was cancelled
            await asyncio.sleep(0)
    assert await agrees(pg_target) == 0


async def test_stop_lets_the_running_chunk_end(tmp_path: Path, pg_target: Target) -> None:
    job = await small_job(tmp_path, pg_target)
    wishes = Wishes()
    async with locked(pg_target):
        task = asyncio.create_task(run_copy(job, control=wishes))
        await until_blocked(pg_target)
        wishes.ending = Stopping()
    with pytest.raises(Stopping):
        await task
    assert await agrees(pg_target) == 1
    await run_copy(job)
    assert await is_whole(pg_target)


async def test_pause_begins_no_chunk_and_resume_goes_on(tmp_path: Path, pg_target: Target) -> None:
    job = await small_job(tmp_path, pg_target)
    wishes = Wishes()

    def report(progress: Progress) -> None:
        if progress.item == "t" and progress.done == 2 * PER_SEGMENT:
            wishes.go.clear()

    task = asyncio.create_task(run_copy(job, control=wishes, report=report))
    await wishes.waiting.wait()
    assert await agrees(pg_target) == 2
    wishes.go.set()
    assert (await task).tables["t"].rows == ROWS
    assert await is_whole(pg_target)


async def test_a_halted_worker_begins_nothing(tmp_path: Path, pg_target: Target) -> None:
    job = await small_job(tmp_path, pg_target)
    connection = await pg_target.connect()
    segment = (await ledger.open_segments(connection, RUN))[0]
    await connection.close()
    order = WorkOrder(
        run=RUN,
        epoch=job.epoch,
        frozen=job.frozen,
        target=pg_target,
        spec=job.spec(job.tables[0]),
        segment=segment,
        refusal_limit=9,
    )
    async with WorkerPool(1) as pool:
        pool.halt()
        assert await pool.run(copy_segment, order) == SegmentResult(halted=True)
        assert await agrees(pg_target) == 0
        pool.proceed()
        assert await pool.run(copy_segment, order) == SegmentResult(rows=PER_SEGMENT)
    assert await agrees(pg_target) == 1


async def test_a_segment_handed_back_is_copied_later(tmp_path: Path, pg_target: Target) -> None:
    job = await small_job(tmp_path, pg_target)
    async with WorkerPool(1) as pool:
        original = pool.run
        answers = [SegmentResult(halted=True)]

        async def run(*args: Any) -> Any:
            return answers.pop() if answers else await original(*args)

        pool.run = run  # type: ignore[method-assign]
        result = await run_copy(job, pool=pool)
    assert result.tables["t"].rows == ROWS
    assert await is_whole(pg_target)


async def test_progress_counts_rows_and_says_when_it_is_due(tmp_path: Path, pg_target: Target) -> None:
    seen: list[Progress] = []
    await run_copy(await small_job(tmp_path, pg_target), report=seen.append)
    whole = [p.done for p in seen if p.item == ""]
    assert whole == list(range(0, ROWS + 1, PER_SEGMENT))
    assert {p.total for p in seen} == {ROWS}
    assert (seen[-1].eta_state, seen[0].eta_state) == (EtaState.DUE, EtaState.MEASURING)
    again: list[Progress] = []
    job = make_job(tmp_path / "t.db", pg_target, plan_table(tmp_path / "t.db", "t", {"id": INTEGER, "x": TEXT}))
    result: CopyResult = await run_copy(job, report=again.append)
    assert [p.done for p in again] == [ROWS]
    assert result.tables["t"].rows == ROWS


async def test_a_row_limit_and_a_busy_target_are_named_as_the_reason(tmp_path: Path, pg_target: Target) -> None:
    reasons: list[str] = []
    job = await small_job(tmp_path, pg_target, load=LoadLimits(active_sessions=-1, patience_seconds=0.1))
    await run_copy(replace(job, max_rows_per_second=2000), report=lambda p: reasons.append(p.throttle))
    assert {"", ACTIVE} <= set(reasons)
    await fetch(pg_target, "drop schema _stepflow cascade")
    await fetch(pg_target, "drop table t")
    (tmp_path / "t.db").unlink()
    reasons.clear()
    job = await small_job(tmp_path, pg_target)
    await run_copy(replace(job, max_rows_per_second=300), report=lambda p: reasons.append(p.throttle))
    assert set(reasons) == {"", RATE}
    assert await is_whole(pg_target)


@pytest.fixture
def own_server() -> Iterator[Embedded]:
    """A server of this test alone, to be crashed."""
    base = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/var/tmp", f"stepflow-crash-{secrets.token_hex(4)}")
    server = Embedded(base, base=base, options=SERVER_OPTIONS)
    run_async(server.start())
    try:
        yield server
    finally:
        run_async(server.remove())


async def test_a_server_that_crashes_in_between_loses_nothing_unnoticed(tmp_path: Path, own_server: Embedded) -> None:
    target = own_server.target("postgres")
    job = await small_job(tmp_path, target, retry_seconds=(0.1, 0.2, 0.5, 1, 2, 4, 8), streams=2)
    [(checkpointer,)] = await fetch(target, "select pid from pg_stat_activity where backend_type = 'checkpointer'")
    postmaster = psutil.Process(checkpointer).parent()
    assert postmaster is not None
    crashed = asyncio.Event()

    def report(progress: Progress) -> None:
        if progress.item == "t" and progress.done == 5 * PER_SEGMENT and not crashed.is_set():
            # at once and without a checkpoint: commits that were not flushed are gone
            postmaster.send_signal(signal.SIGQUIT)
            crashed.set()

    task = asyncio.create_task(run_copy(job, report=report))
    await crashed.wait()
    await asyncio.to_thread(psutil.wait_procs, [postmaster])
    await own_server.start()
    assert (await task).errors == ()
    assert await is_whole(target)


async def test_commits_that_a_crash_took_back_are_made_again(tmp_path: Path, pg_target: Target) -> None:
    job = await small_job(tmp_path, pg_target)
    async with WorkerPool(1) as pool:
        original, calls = pool.run, 0

        async def run(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            result = await original(*args)
            if calls == 3:  # what a crash leaves of a commit that was answered but not flushed
                await fetch(pg_target, "delete from t where id between 6 and 8")
                await fetch(pg_target, "update _stepflow.ledger set state = 'open', rows = null where segment = 2")
            return result

        pool.run = run  # type: ignore[method-assign]
        assert (await run_copy(job, pool=pool)).tables["t"].rows == ROWS
    assert calls == ROWS // PER_SEGMENT + 1
    assert await is_whole(pg_target)

"""The tail under faults: killed anywhere, cut off around COMMIT, the server restarted. Each change arrives exactly once."""

from __future__ import annotations

import asyncio
import itertools
import os
import pickle
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import psutil
import pytest

from stepflow_tui.engine.errors import Held, TargetConnectionError
from stepflow_tui.engine.live.tail import Tail
from stepflow_tui.engine.live.tail_target import TargetSide
from stepflow_tui.engine.postgres import progress
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.embedded import Embedded
from tests.conftest import SERVER_OPTIONS, run_async
from tests.faults.proxy import Cut, Proxy, proxied
from tests.tail_kit import Rig, rig

CUTS = int(os.environ.get("STEPFLOW_TAIL_CUTS", "150"))
"""How many connections are cut; 1,000 take about a minute."""

SCRIPT = """
create table item(id integer primary key, name text unique, n integer);
create table pair(a text, b integer, x blob, primary key (a, b)) without rowid;
insert into item values (1,'a',0),(2,'b',0),(3,'c',0);
insert into pair values ('p', 1, x'00');
"""

Make = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Rig] = []

    async def build(target: Target, script: str = SCRIPT) -> Rig:
        made.append(await rig(tmp_path, target, script))
        return made[-1]

    yield build
    for one in made:
        await one.close()


def change(live: Rig, turn: int) -> None:
    """Moves unique values, keys and rows, so that a change that is applied twice or not at all shows."""
    live.app.execute("begin")
    live.app.execute("update item set name = name || '-', n = n + 1")
    live.app.execute("update or replace item set name = ? where id = ?", (f"m{turn % 4}", turn % 3 + 1))
    live.app.execute("insert into item(name, n) values (?, ?)", (f"t{turn}", turn))
    live.app.execute("update pair set b = b + 1")
    live.app.execute("delete from item where n % 7 = 6")
    live.app.execute("commit")


async def exactly_once(live: Rig) -> None:
    """Both sides are equal, and the entries counted in the rows' own transactions are those of the log."""
    found = await live.watermark()
    assert (found.w, found.changes) == (live.log_max(), live.log_max())
    assert await live.differing() == []
    assert await live.poison() == []


def _engine(live: Rig, folder: Path, **environment: str) -> int:
    job = folder / "job"
    job.write_bytes(pickle.dumps(live.job))
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.tail_engine", str(job)],
        cwd=Path(__file__).parents[2], env=os.environ | environment, check=False,
    ).returncode  # fmt: skip


async def test_killed_at_every_place_of_a_step(tmp_path: Path, pg_target: Target, make: Make) -> None:
    live = await make(pg_target)
    passed = tmp_path / "passed"
    assert _engine(live, tmp_path, STEPFLOW_FAILPOINT_LOG=str(passed)) == 0
    await exactly_once(live)
    places = passed.read_text().split()
    assert {p.split(":")[0] for p in places} == {
        "tail_source_open", "tail_deleted", "tail_inserted", "tail_advanced", "tail_committed",
    }  # fmt: skip
    for turn, place in enumerate(places):
        change(live, turn)
        assert _engine(live, tmp_path, STEPFLOW_FAILPOINT=f"{place}:kill") == -signal.SIGKILL, place
        found = await live.watermark()
        assert (found.w == live.log_max()) is (place == "tail_committed:1"), place
        assert found.w == found.changes
        assert await live.tail(epoch=found.epoch).step()
        await exactly_once(live)


# -- COMMIT ------------------------------------------------------------------------------------------------------------


async def _cut_often(live: Rig, proxy: Proxy, count: int) -> Tail:
    """`count` connections break in turn before, within and after COMMIT, each in the middle of a change of its own."""
    kinds = itertools.cycle((Cut.BEFORE, Cut.WITHIN, Cut.AFTER, Cut.RESET))
    tail = live.tail(target=replace(proxy.target, schema="app"), retry_seconds=(0.0,) * 5)
    await tail.step()
    for turn in range(count):
        change(live, turn)
        proxy.plan = iter((next(kinds),))
        tick = await tail.step()
        assert tick.applied == live.log_max()
    return tail


async def test_every_change_once_though_connections_break_around_commit(pg_target: Target, make: Make) -> None:
    live = await make(pg_target)
    async with proxied(pg_target) as proxy:
        tail = await _cut_often(live, proxy, CUTS)
        assert len(proxy.cuts) == CUTS
        assert proxy.connections == CUTS + 1
    await exactly_once(live)
    assert tail.stats.changes == live.log_max(), "counted once by the engine too, whatever the answer said"


async def test_one_retry_that_guesses_loses_changes(
    pg_target: Target, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The protection is needed: a tail that takes a lost answer for a commit goes on behind it and is found out."""
    live = await make(pg_target)
    guess: dict[str, int] = {}
    claim, advance = progress.claim, progress.advance

    async def trusting(conn: asyncpg.Connection, run: str, epoch: int) -> int:
        real = await claim(conn, run, epoch)
        guessed = guess.get("w", real)
        await conn.execute("update _stepflow.progress set w = $2 where run = $1", run, guessed)
        return guessed

    async def remembered(conn: asyncpg.Connection, run: str, epoch: int, **to: int) -> None:
        await advance(conn, run, epoch, **to)
        guess["w"] = to["new"]

    monkeypatch.setattr(progress, "claim", trusting)
    monkeypatch.setattr(progress, "advance", remembered)
    async with proxied(pg_target) as proxy:
        await _cut_often(live, proxy, 8)
    assert await live.differing() != []


async def test_a_black_hole_ends_the_attempt_in_bounded_time(pg_target: Target, make: Make) -> None:
    live = await make(pg_target)
    async with proxied(pg_target) as proxy:
        tail = live.tail(
            target=replace(proxy.target, schema="app"), answer_seconds=0.3, lock_seconds=0.2, retry_seconds=(0.2,) * 20
        )
        proxy.plan = iter((Cut.BLACK_HOLE,))
        tick = await tail.step()
    assert proxy.cuts == [Cut.BLACK_HOLE]
    assert tick.whole
    await exactly_once(live)


async def test_an_outage_that_does_not_end_is_said(pg_target: Target, make: Make) -> None:
    live = await make(pg_target)
    async with proxied(pg_target) as proxy:
        tail = live.tail(target=replace(proxy.target, schema="app"), retry_seconds=(0.0, 0.0))
        proxy.plan = itertools.repeat(Cut.BEFORE)
        with pytest.raises(TargetConnectionError) as caught:
            await tail.step()
        assert len(proxy.cuts) == 3
    assert caught.value.code == "connection_lost"
    assert (await live.tail().step()).whole, "nothing is lost"
    await exactly_once(live)


# -- conflicts ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _locked(target: Target) -> AsyncIterator[asyncpg.Connection]:
    connection = await target.connect()
    await connection.execute("begin; lock table app.item in access exclusive mode")
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_lock_of_somebody_else_is_waited_for_in_bounded_attempts(pg_target: Target, make: Make) -> None:
    live = await make(pg_target)
    tail = live.tail(lock_seconds=0.05, retry_seconds=(0.0, 0.0))
    async with _locked(pg_target):
        with pytest.raises(Held) as caught:
            await tail.step()
        assert caught.value.code == "lock_held"
    patient = live.tail(lock_seconds=0.05, retry_seconds=(0.05,) * 40)
    async with _locked(pg_target):
        task = asyncio.create_task(patient.step())
        while not await live.pg.fetchval(
            "select count(*) from pg_stat_activity where application_name = 'stepflow tail' and wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0)
    assert (await task).whole
    await exactly_once(live)


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_a_conflict_repeats_the_whole_step(
    pg_target: Target, make: Make, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    live = await make(pg_target)
    commit, left = TargetSide.commit, [3]

    async def conflicting(self: TargetSide) -> None:
        if left[0]:
            left[0] -= 1
            with self._errors():
                await self.connection.execute(f"do $$ begin raise 'conflict' using errcode = '{state}'; end $$")
        await commit(self)

    monkeypatch.setattr(TargetSide, "commit", conflicting)
    assert (await live.tail().step()).whole
    assert left == [0]
    await exactly_once(live)


async def test_a_terminated_backend_is_replaced(pg_target: Target, make: Make) -> None:
    live = await make(pg_target)
    tail = live.tail()
    await tail.step()
    for turn in range(5):
        change(live, turn)
        await live.pg.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'stepflow tail'"
            " and datname = current_database()"
        )
        await tail.step()
    await exactly_once(live)


# -- a server that crashes ---------------------------------------------------------------------------------------------


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


async def test_a_server_that_crashes_during_catch_up(make: Make, own_server: Embedded) -> None:
    target = own_server.target("postgres")
    live = await make(target)
    for turn in range(60):
        change(live, turn)
    tail = live.tail(step_changes=20, retry_seconds=(0.1, 0.2, 0.5, 1, 2, 4, 8))
    for _ in range(2):
        checkpointer = await live.pg.fetchval("select pid from pg_stat_activity where backend_type = 'checkpointer'")
        postmaster = psutil.Process(checkpointer).parent()
        assert postmaster is not None
        w = (await live.watermark()).w
        stepping = asyncio.create_task(tail.reach(w + 200))
        while tail.stats.applied <= w:
            await asyncio.sleep(0)
        postmaster.send_signal(signal.SIGQUIT)  # at once and without a checkpoint
        await asyncio.to_thread(psutil.wait_procs, [postmaster])
        await own_server.start()
        await stepping
        live.pg.terminate()
        live.pg = await target.connect()
    await tail.reach(live.log_max())
    await exactly_once(live)


async def test_a_full_disk_of_the_target_stops_cleanly(
    pg_target: Target, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """53100 is not tried again: it ends at once, and the next start goes on."""
    live = await make(pg_target)
    commit = TargetSide.commit

    async def full(self: TargetSide) -> None:
        with self._errors():
            await self.connection.execute("do $$ begin raise 'disk full' using errcode = '53100'; end $$")

    monkeypatch.setattr(TargetSide, "commit", full)
    tail = live.tail()
    with pytest.raises(Exception, match="disk is full") as caught:
        await tail.step()
    assert getattr(caught.value, "code", "") == "target_disk_full"
    monkeypatch.setattr(TargetSide, "commit", commit)
    await tail.step()
    await exactly_once(live)

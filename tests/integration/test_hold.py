"""The write lock of a window: nobody writes while it is held, nor between the lock and the fence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import Drift, Held, StepFailed
from stepflow_tui.engine.sqlite import capture, fence
from stepflow_tui.engine.sqlite.capture_state import guard
from stepflow_tui.engine.sqlite.connect import open_living
from stepflow_tui.engine.sqlite.hold import WriteLock
from tests.capture_kit import RUN
from tests.capture_kit import plan as plan_for

WRITER = """
import select, sqlite3, sys
conn = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
done = 0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        conn.execute("insert into orders(note) values ('x')")
        done += 1
    except sqlite3.Error:
        pass
print(done, flush=True)
"""


@pytest.fixture(params=["wal", "delete"])
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as conn:
        conn.execute(f"pragma journal_mode={request.param}")
        conn.executescript(
            "create table orders(id integer primary key, note text); create table log(what text);"
            "create trigger logged after insert on orders begin insert into log values (new.note); end;"
            "insert into orders values (1, 'one')"
        )
    return path


@contextlib.contextmanager
def hammering(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A writer that tries without any pause."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def acknowledged(process: subprocess.Popen[str]) -> int:
    """How many writes came through, all in all."""
    return int(process.communicate("stop\n", timeout=60)[0])


def write(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as conn:
        conn.execute("insert into orders(note) values ('y')")


def count(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as conn:
        return int(conn.execute("select count(*) from orders").fetchone()[0])


async def test_writers_are_refused_and_readers_are_not(shop: Path) -> None:
    lock = await WriteLock.take(shop, wait=5)
    assert lock.held
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write(shop)
    assert count(shop) == 1
    await lock.release()
    assert not lock.held
    write(shop)
    assert count(shop) == 2


async def test_the_lock_ends_with_its_engine(shop: Path) -> None:
    """A process that took the lock is killed without a word: its holder gives the file free by itself."""
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom stepflow_tui.engine.sqlite.hold import WriteLock\n"
        "async def main():\n    lock = await WriteLock.take(Path(sys.argv[1]), wait=5)\n    print('held', flush=True)\n"
        "    await asyncio.sleep(600)\nasyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(shop)], stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline() == "held\n"
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write(shop)
        engine.kill()
    lock = await WriteLock.take(shop, wait=10)
    await lock.release()


async def test_a_lock_that_others_keep(shop: Path) -> None:
    with contextlib.closing(sqlite3.connect(shop, isolation_level=None)) as conn:
        conn.execute("begin immediate")
        with pytest.raises(Held) as told:
            await WriteLock.take(shop, wait=0.1)
        assert told.value.code == "source_busy"
        conn.execute("rollback")
    lock = await WriteLock.take(shop, wait=5)
    await lock.release()


async def test_a_holder_that_is_killed_is_noticed(shop: Path) -> None:
    lock = await WriteLock.take(shop, wait=5)
    watching = asyncio.create_task(lock.lost())
    os.kill(lock.pid, signal.SIGKILL)
    assert await watching
    with pytest.raises(StepFailed) as told:
        await lock.hand_over(plan_for(shop), RUN, wait=5)
    assert told.value.code == "lock_lost"
    assert not await capture.is_installed(shop, RUN)


async def test_nobody_gets_in_between_lock_and_fence(shop: Path) -> None:
    plan = plan_for(shop)
    with hammering(shop) as writer:
        lock = await WriteLock.take(shop, wait=10)
        before = count(shop)
        done = await lock.hand_over(plan, RUN, wait=10)
        assert count(shop) == before
        standing = await fence.fence_state(shop)
        assert (standing.fenced, sorted(standing.tables)) == (True, ["log", "orders"])
        assert [k.name for k in standing.kept] == ["logged"]
        assert acknowledged(writer) == before - 1
    assert done.log_max == 0
    with contextlib.closing(open_living(shop)) as conn:
        guard(conn, done.installed, shop)


async def test_without_the_hand_over_somebody_gets_in(shop: Path) -> None:
    """The negative control: the lock given back before the fence is raised, as plain code would do it."""
    plan = plan_for(shop)  # its reading has no patience for a writer in the middle of a commit
    with hammering(shop) as writer:
        lock = await WriteLock.take(shop, wait=10)
        before = count(shop)
        await lock.release()
        await capture.install(shop, plan, RUN)
        await fence.raise_fence(shop, ["orders", "log"], wait=10)
        assert acknowledged(writer) > before - 1


async def test_a_hand_over_that_fails_changes_nothing(shop: Path) -> None:
    plan = plan_for(shop)
    with contextlib.closing(sqlite3.connect(shop, isolation_level=None)) as conn:
        conn.execute("alter table orders add column late text")
        names = conn.execute("select name from sqlite_schema order by 1").fetchall()
        lock = await WriteLock.take(shop, wait=5)
        with pytest.raises(Drift) as told:
            await lock.hand_over(plan, RUN, wait=5)
        assert told.value.code == "capture_table_changed"
        assert conn.execute("select name from sqlite_schema order by 1").fetchall() == names
        conn.execute("insert into orders(note) values ('not refused')")


async def test_a_reader_that_does_not_end(shop: Path) -> None:
    """In a rollback-journal file it keeps the fence out: the hand-over gives up, and leaves the file as it was."""
    with contextlib.closing(sqlite3.connect(shop, isolation_level=None)) as reader:
        wal = reader.execute("pragma journal_mode").fetchone()[0] == "wal"
        reader.execute("begin")
        reader.execute("select count(*) from orders").fetchone()
        lock = await WriteLock.take(shop, wait=5)
        if wal:
            await lock.hand_over(plan_for(shop), RUN, wait=0.1)
        else:
            with pytest.raises(Held):
                await lock.hand_over(plan_for(shop), RUN, wait=0.1)
        reader.execute("rollback")
    assert await capture.is_installed(shop, RUN) is wal

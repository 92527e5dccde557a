"""The WAL sampler beside real applications: it names who pins the log, and takes nothing from anybody."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from stepflow_tui.engine.sqlite import wal_sampler
from stepflow_tui.engine.sqlite.wal_child import look
from stepflow_tui.engine.sqlite.wal_sampler import WalSample, WalSampler
from tests.process_kit import children
from tests.run_kit import until

ROOT = Path(__file__).parents[2]
QUICK = 0.02

pytestmark = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="this system does not list locks")


def app(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An application's connection to a WAL database that never checkpoints by itself."""
    conn = app(tmp_path / "shop.db")
    conn.execute("pragma journal_mode=wal")
    conn.execute("pragma wal_autocheckpoint=0")
    conn.execute("create table t (x)")
    yield conn
    conn.close()


@pytest.fixture
async def sampler(tmp_path: Path) -> AsyncIterator[WalSampler]:
    made = WalSampler(every=QUICK)
    await made.start(tmp_path / "shop.db")
    yield made
    await made.close()


READER = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("begin"); conn.execute("select * from t").fetchall()
print("open", flush=True); sys.stdin.readline()
"""
LOOKING_READER = READER.replace(
    "print",
    "from pathlib import Path; from stepflow_tui.engine.sqlite.wal_child import look; look(Path(sys.argv[1])); print",
)
"""What must never be done: reading the files in the process that has them open through SQLite."""


@contextmanager
def process(script: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that says `open` and stays until its input ends."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    ) as started:
        assert started.stdout is not None
        try:
            assert started.stdout.readline() == "open\n"
            yield started
        finally:
            started.kill()


def locks_of(pid: int) -> list[str]:
    """Its locks as the system lists them, without their numbers in the list."""
    lines = Path("/proc/locks").read_text().splitlines()
    return sorted(line.partition(": ")[2] for line in lines if f" {pid} " in line)


async def sampled(sampler: WalSampler, wanted: Callable[[WalSample], bool]) -> WalSample:
    """The first sample that is as wanted."""
    async with asyncio.timeout(30):
        while not wanted(found := await sampler.sample()):
            await asyncio.sleep(QUICK)
    return found


async def test_frames_are_those_that_sqlite_counts(database: sqlite3.Connection, sampler: WalSampler) -> None:
    database.executemany("insert into t values (?)", [(n,) for n in range(40)])
    frames = (await sampled(sampler, lambda s: (s.frames or 0) >= 40)).frames
    _, log, done = database.execute("pragma wal_checkpoint(passive)").fetchone()
    assert frames == log
    after = await sampled(sampler, lambda s: s.checkpointed == done)
    assert (after.mode, after.frames, after.pinned_by) == ("wal", log, ())
    assert after.bytes == (Path(sampler_path(database)).with_name("shop.db-wal")).stat().st_size


def sampler_path(conn: sqlite3.Connection) -> str:
    return str(conn.execute("pragma database_list").fetchone()[2])


async def test_a_reader_with_an_old_mark_is_named(
    tmp_path: Path, database: sqlite3.Connection, sampler: WalSampler
) -> None:
    with process(READER, tmp_path / "shop.db") as reader:
        for n in range(200):
            database.execute("insert into t values (?)", (n,))
        found = await sampled(sampler, lambda s: bool(s.pinned_by))
        assert found.pinned_by is not None
        assert [p.pid for p in found.pinned_by] == [reader.pid]
        assert "python" in found.pinned_by[0].command
        _, log, done = database.execute("pragma wal_checkpoint(passive)").fetchone()
        assert done < log  # SQLite itself comes no further
        later = await sampled(sampler, lambda s: bool(s.pinned_by) and s.checkpointed == done)
        assert later.pinned_by is not None
        assert later.pinned_by[0].age_seconds >= found.pinned_by[0].age_seconds
        assert later.gauge["pinned_by"][0]["pid"] == reader.pid
    gone = await sampled(sampler, lambda s: s.pinned_by == ())
    assert gone.frames == log


async def test_nobody_loses_a_lock_by_being_looked_at(
    tmp_path: Path, database: sqlite3.Connection, sampler: WalSampler
) -> None:
    writer = READER.replace("begin", "begin immediate")
    with process(READER, tmp_path / "shop.db") as reader, process(writer, tmp_path / "shop.db") as writing:
        held = locks_of(reader.pid), locks_of(writing.pid)
        assert all(held)
        [child] = children("wal_child")
        for _ in range(20):
            before = await sampler.sample()
            await sampled(sampler, lambda s, before=before: s is not before)  # type: ignore[misc]
            assert locks_of(child.pid) == []
        assert (locks_of(reader.pid), locks_of(writing.pid)) == held
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            database.execute("insert into t values (1)")


async def test_looking_from_within_would_drop_the_locks(tmp_path: Path, database: sqlite3.Connection) -> None:
    """The control of the test above: the same look in the process that holds the connection."""
    with process(LOOKING_READER, tmp_path / "shop.db") as reader:
        assert [line for line in locks_of(reader.pid) if " 124 124" in line or " 123 123" in line] == []
        database.execute("insert into t values (1)")
        _, log, done = database.execute("pragma wal_checkpoint(passive)").fetchone()
        assert done == log  # past a reader that still needs the old pages


async def test_writers_never_wait_for_it(database: sqlite3.Connection, tmp_path: Path) -> None:
    busy = WalSampler(every=0.0)
    await busy.start(tmp_path / "shop.db")
    await busy.sample()
    for n in range(2_000):
        database.execute("insert into t values (?)", (n,))  # its timeout is 0: a single conflict would raise
    found = await sampled(busy, lambda s: (s.frames or 0) >= 2_000)
    await busy.close()
    assert found.mode == "wal"


async def test_a_child_that_dies_is_started_again_and_ages_go_on(
    tmp_path: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal_sampler, "RESTART_SECONDS", 0.0)
    now = 100.0
    made = WalSampler(lambda: now, every=QUICK)
    await made.start(tmp_path / "shop.db")
    with process(READER, tmp_path / "shop.db") as reader:
        database.execute("insert into t values (1)")
        await sampled(made, lambda s: bool(s.pinned_by))
        [child] = children("wal_child")
        now = 104.0
        child.kill()
        found = await sampled(made, lambda s: bool(s.pinned_by) and made.starts == 2 and s.pinned_by[0].age_seconds > 0)
        assert found.pinned_by is not None
        assert (found.pinned_by[0].pid, found.pinned_by[0].age_seconds) == (reader.pid, 4.0)
    await made.close()
    assert children("wal_child") == []


async def test_what_is_old_is_unknown(tmp_path: Path, database: sqlite3.Connection) -> None:
    now = 0.0
    made = WalSampler(lambda: now, every=QUICK)
    await made.start(tmp_path / "shop.db")
    assert (await made.sample()).mode == "wal"
    [child] = children("wal_child")
    child.suspend()
    await asyncio.to_thread(until, lambda: child.status() == psutil.STATUS_STOPPED)
    now = wal_sampler.STALE_SECONDS + 1
    await sampled(made, lambda s: s == WalSample())
    await made.close()
    assert children("wal_child") == []


PARENT = """
import asyncio, sys
from pathlib import Path
from stepflow_tui.engine.sqlite.wal_sampler import WalSampler
async def main():
    sampler = WalSampler()
    await sampler.start(Path(sys.argv[1]))
    await sampler.sample()
    print("open", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def test_it_ends_with_its_parent(tmp_path: Path, database: sqlite3.Connection) -> None:
    with process(PARENT, tmp_path / "shop.db") as parent:
        [child] = psutil.Process(parent.pid).children()
        parent.send_signal(signal.SIGKILL)
        until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_other_states_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    none = {"bytes": 0, "frames": None, "checkpointed": None, "readers": None, "users": None, "page_size": None}
    assert look(path) == {"mode": "missing", **none}
    conn = app(path)
    conn.execute("create table t (x)")
    empty = {**none, "frames": 0, "checkpointed": 0, "readers": []}
    conn.close()
    assert look(path) == {"mode": "rollback", **empty, "users": []}
    conn = app(path)
    conn.execute("pragma journal_mode=wal")
    conn.close()
    assert look(path) == {"mode": "wal", **empty}  # both side files are gone
    path.with_name("shop.db-wal").write_bytes(b"\x00" * 4152)
    assert look(path) == {"mode": "wal", **none, "bytes": 4152}  # no index: nobody has it open
    path.unlink()
    path.mkdir()
    assert look(path)["mode"] == "unreadable"


async def test_a_system_without_a_lock_table_is_unknown(tmp_path: Path, database: sqlite3.Connection) -> None:
    facts = look(tmp_path / "shop.db", proc=tmp_path / "proc")
    assert facts["readers"] is None
    assert facts["frames"] > 0

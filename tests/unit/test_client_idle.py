"""What a router knows that slept: the mark beside the file, a file without either, a file that is locked when it wakes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from stepflow_tui.client import AsyncReadRouter, FenceTimeout, Lease, LeaseView, ReadRouter, Side, retry, write_owner
from stepflow_tui.engine.sqlite.mark import Renamed, drop_mark, mark_of, set_mark

CRASH = """
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.executescript("create table t(a); pragma cache_size = 1; begin")
c.executemany("insert into t values (zeroblob(4000))", [()] * 200)
os._exit(1)
"""
HOLD = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("begin exclusive"); print("held", flush=True)
sys.stdin.readline()
"""


def managed(path: Path, owner: Side) -> None:
    """The control row as capture makes it."""
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("create table _sf_ctl(one, owner, fenced)")
        made.execute("create table _sf_switch(one, version, share, salt, groups, lease_until_ms)")
        made.execute("insert into _sf_ctl values (1, ?, 0)", (owner,))


def left(path: Path) -> None:
    """StepFlow goes."""
    with closing(sqlite3.connect(path)) as made, made:
        made.executescript("drop table _sf_ctl; drop table _sf_switch")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds the file for the length of a block."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.kill()


def side_of(router: ReadRouter) -> Side:
    """Where it would write."""
    return router.write(lambda side: side, timeout=0.5)


def test_a_run_that_was_rolled_back(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    managed(path, "postgresql")
    with ReadRouter(path, refresh=0) as router:
        assert side_of(router) == "postgresql"
        left(path)
        assert side_of(router) == "sqlite"
        assert write_owner(path) == "sqlite"


def test_a_run_that_was_cleaned_up(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    managed(path, "sqlite")
    with ReadRouter(path, refresh=0) as router:
        assert side_of(router) == "sqlite"
        set_mark(path, "run-1")
        left(path)
        assert side_of(router) == "postgresql"
        assert write_owner(path) == "postgresql"
        assert Lease.after(path).owner == "postgresql"
        drop_mark(path, "run-1")
        assert write_owner(path) == "sqlite"


def test_the_control_row_is_right_beside_an_old_mark(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    managed(path, "sqlite")
    set_mark(path, "run-1")
    assert write_owner(path) == "sqlite"


def test_a_mark_is_about_one_file(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    managed(path, "sqlite")
    set_mark(path, "run-1")
    path.rename(tmp_path / "old.db")
    assert write_owner(path) == "postgresql", "the file has gone"
    with closing(sqlite3.connect(path)) as made:
        made.execute("create table t(a)")
    assert write_owner(path) == "sqlite", "another file"
    set_mark(path, "run-1", renamed=Renamed(name="old.db", inode=1))
    assert write_owner(path) == "postgresql"


def test_a_mark_can_be_read_by_whoever_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    managed(path, "sqlite")
    path.chmod(0o660)
    mark = set_mark(path, "run-1")
    assert (mark.stat().st_mode & 0o777, mark.stat().st_uid) == (0o664, path.stat().st_uid), (
        "the engine's group may not be the application's"
    )
    assert json.loads(mark.read_text())["run"] == "run-1"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["app.db", "app.db-stepflow"]


def test_a_locked_file_is_waited_for_before_the_first_write(tmp_path: Path) -> None:
    """Without it the side from before the sleep would be taken: PostgreSQL's tables may take the write, and it is lost."""
    path = tmp_path / "app.db"
    managed(path, "postgresql")
    with ReadRouter(path) as router, locked(path):
        with pytest.raises(FenceTimeout):
            side_of(router)
        assert router.route("k") == "sqlite", "reads never wait"

    async def later() -> Side:
        async with AsyncReadRouter(path) as router:
            with locked(path), pytest.raises(FenceTimeout):
                await router.write(_same, timeout=0.2)
            return await router.write(_same)

    assert asyncio.run(later()) == "postgresql"


async def _same(side: Side) -> Side:
    return side


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"owner": "mysql", "inode": null}'])
def test_a_mark_that_cant_be_read_lets_no_write_through(tmp_path: Path, text: str | None) -> None:
    """It may say that PostgreSQL owns writes; nothing in the file would refuse one that goes there."""
    path = tmp_path / "app.db"
    managed(path, "postgresql")
    left(path)
    if text is None:
        mark_of(path).mkdir()
    else:
        mark_of(path).write_text(text)
    written: list[Side] = []
    with ReadRouter(path) as router:
        with pytest.raises(FenceTimeout, match=r"app\.db-stepflow"):
            router.write(written.append, timeout=0.1)
        assert written == []
        assert router.route("k") == "sqlite", "reads never wait"
    with pytest.raises((OSError, ValueError), match=r"app\.db-stepflow"):
        write_owner(path)


def test_where_stepflow_never_was_nothing_waits(tmp_path: Path) -> None:
    """No file yet, a file without a mark, one that a crash of the application left with a hot journal."""
    for name in ("none.db", "plain.db", "crashed.db"):
        path = tmp_path / name
        if name == "plain.db":
            managed(path, "sqlite")
            left(path)
        if name == "crashed.db":
            subprocess.run([sys.executable, "-c", CRASH, str(path)], check=False)
            assert path.with_name("crashed.db-journal").exists()
        with ReadRouter(path) as router:
            assert router.write(lambda side: side, timeout=0) == "sqlite", name


@pytest.mark.parametrize("owner", ["postgresql", "sqlite"])
def test_a_file_in_the_place_of_a_managed_one_names_no_other_owner(tmp_path: Path, owner: Side) -> None:
    """Moved away and made anew by the application, for example: that is no rollback."""
    path, other = tmp_path / "app.db", tmp_path / "other.db"
    managed(path, owner)
    with closing(sqlite3.connect(other)) as made:
        made.execute("create table t(a)")
    with ReadRouter(path, refresh=0) as router:
        assert side_of(router) == owner
        other.replace(path)
        assert side_of(router) == owner


def test_a_refused_write_is_not_tried_again_on_a_side_that_is_only_remembered() -> None:
    """While nothing can be read, StepFlow may leave the file: the same write would then pass there."""
    clock, leases = [0.0], [Lease(owner="sqlite")]
    written: list[Side] = []

    def read() -> Lease:
        if leases:
            return leases.pop()
        raise sqlite3.OperationalError("disk I/O error")

    def write(side: Side) -> None:
        written.append(side)
        clock[0] += 10
        if len(written) == 1:
            raise sqlite3.IntegrityError("stepflow: writes moved")

    with pytest.raises(FenceTimeout):
        retry(LeaseView(read, monotonic=lambda: clock[0]), write, timeout=0.2)
    assert written == ["sqlite"]


def test_what_was_read_before_the_machine_slept_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """CLOCK_MONOTONIC stands still meanwhile."""
    asleep, fails = [0.0], [False]

    def read() -> Lease:
        if fails[0]:
            raise sqlite3.OperationalError("disk I/O error")
        return Lease(owner="sqlite")

    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 7, raising=False)
    monkeypatch.setattr(time, "clock_gettime", lambda which: 100.0 + asleep[0] * (which == 7))
    view = LeaseView(read)
    assert view.certain()
    fails[0] = True
    assert view.certain(), "a moment ago"
    asleep[0] = 60.0
    assert not view.certain()

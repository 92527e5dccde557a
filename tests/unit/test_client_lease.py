"""The lease as a process sees it: how long it is believed, and what happens when the file can't be read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stepflow_tui.client import Lease, LeaseFile, LeaseView, Side
from stepflow_tui.engine.model.live import CTL
from tests.switch_kit import HandClock, captured

ALL = Lease(owner="sqlite", version=1, share=10_000, salt="s", until_ms=1_800_000_015_000)


class Source:
    """Readings as a test says."""

    def __init__(self, lease: Lease | None) -> None:
        self.lease, self.fails, self.reads = lease, False, 0

    def __call__(self) -> Lease | None:
        self.reads += 1
        if self.fails:
            raise sqlite3.OperationalError("database is locked")
        return self.lease


def view(
    source: Callable[[], Lease | None], clock: HandClock, *, refresh: float = 0.2, unmanaged: Side = "sqlite"
) -> LeaseView:
    return LeaseView(
        source, refresh=refresh, unmanaged=unmanaged, monotonic=clock.monotonic, wall=lambda: clock.wall_ms / 1000
    )


def test_it_is_read_no_more_often_than_told() -> None:
    clock, source = HandClock(), Source(ALL)
    seen = view(source, clock)
    for _ in range(1_000):
        assert seen.side("k") == "postgresql"
    assert source.reads == 1
    clock.advance(0.2)
    seen.side("k")
    assert source.reads == 2


def test_an_expired_lease_means_the_owner_of_writes() -> None:
    clock, source = HandClock(), Source(ALL)
    seen = view(source, clock)
    assert seen.side("k") == "postgresql"
    clock.advance(14.9)
    assert seen.side("k") == "postgresql"
    clock.advance(0.2)
    assert seen.side("k") == "sqlite"
    source.lease = replace(ALL, version=2, until_ms=clock.wall_ms + 15_000)
    clock.advance(0.2)
    assert seen.side("k") == "postgresql"


def test_a_file_that_cant_be_read_extends_nothing() -> None:
    clock, source = HandClock(), Source(ALL)
    seen = view(source, clock)
    seen.side("k")
    source.fails = True
    clock.advance(10)
    assert seen.side("k") == "postgresql"
    clock.advance(6)
    assert seen.side("k") == "sqlite"
    assert seen.failures == 2


@pytest.mark.parametrize("jump", [-10 * 86_400_000, 10 * 86_400_000])
def test_a_wall_clock_that_jumps_neither_ends_nor_extends_it(jump: int) -> None:
    clock, source = HandClock(), Source(ALL)
    seen = view(source, clock)
    seen.side("k")
    clock.wall_ms += jump
    clock.mono += 10
    assert seen.side("k") == "postgresql"
    clock.mono += 6
    assert seen.side("k") == "sqlite"


def test_a_lease_from_a_clock_far_ahead_is_cut() -> None:
    clock = HandClock()
    seen = view(Source(replace(ALL, until_ms=clock.wall_ms + 86_400_000)), clock)
    assert seen.side("k") == "postgresql"
    clock.advance(61)
    assert seen.side("k") == "sqlite"


def test_before_and_after_a_migration_the_caller_says_which_side() -> None:
    clock, source = HandClock(), Source(None)
    assert view(source, clock).side("k") == "sqlite"
    assert view(source, clock, unmanaged="postgresql").side("k") == "postgresql"
    seen = view(source, clock)
    source.lease = replace(ALL, owner="postgresql")
    assert seen.side("k") == "postgresql"
    source.lease = None  # cleaned up: whoever owned writes last still does
    clock.advance(1)
    assert seen.side("k") == "postgresql"


def test_capture_without_a_lease_yet_is_the_owner(tmp_path: Path) -> None:
    file = LeaseFile(captured(tmp_path / "shop.db"))
    assert file() == Lease(owner="sqlite")
    file.close()


def test_a_lease_that_cant_be_is_refused() -> None:
    good = ("sqlite", 0, 1, 10, "s", "[]", 5)
    assert Lease.of(good).share == 10
    for at, value in ((0, "mysql"), (5, "{}"), (5, "["), (3, "x")):
        with pytest.raises(ValueError):
            Lease.of((*good[:at], value, *good[at + 1 :]))


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_the_file_may_be_locked_replaced_or_gone(tmp_path: Path, mode: str) -> None:
    path = captured(tmp_path / "shop.db", mode)
    clock = HandClock()
    file = LeaseFile(path)
    seen = view(file, clock, refresh=0.0)
    with sqlite3.connect(path) as app:
        app.execute("insert into _sf_switch values (1, 1, 10000, 's', '[]', 'sqlite', ?)", (clock.wall_ms + 15_000,))
    assert seen.side("k") == "postgresql"
    locking = sqlite3.connect(path, isolation_level=None)
    locking.execute("begin exclusive")
    assert seen.side("k") == "postgresql"
    locking.execute("rollback")
    locking.close()
    app.close()
    other = captured(tmp_path / "other.db", mode)
    with sqlite3.connect(other) as made:
        made.execute(f"update {CTL} set owner='postgresql'")
    made.close()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    other.replace(path)
    assert seen.look()[0].owner == "postgresql"
    path.unlink()
    assert seen.side("k") == "postgresql"
    assert seen.failures >= 1
    file.close()


def test_a_forked_process_reads_by_itself(tmp_path: Path) -> None:
    path = captured(tmp_path / "shop.db")
    file = LeaseFile(path)
    assert file() is not None
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"1" if file() == Lease(owner="sqlite") else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"1"
    for fd in (reader, writer):
        os.close(fd)
    assert file() is not None
    file.close()

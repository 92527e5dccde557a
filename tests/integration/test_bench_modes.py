"""Benchmarks of SQLite with real processes on real files: what they choose, what they leave, and what they must not touch."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from stepflow_tui.engine.bench import scratch as scratch_module
from stepflow_tui.engine.bench.loads import Load
from stepflow_tui.engine.bench.modes import ROLLBACK, TUNED, WAL, benchmark_modes
from stepflow_tui.engine.bench.scratch import clear_abandoned, scratch_folder
from stepflow_tui.engine.errors import DiskFull, StepFailed, Stopping
from stepflow_tui.engine.model.benchmark import BenchmarkResult, Compared
from stepflow_tui.engine.model.config_wal import Benchmark, BenchmarkLimits
from stepflow_tui.engine.model.control import FreeRunning, silent
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.sqlite import bench_shape
from stepflow_tui.engine.sqlite.bench_shape import find_shape
from stepflow_tui.engine.sqlite.sample import make_shop
from tests.process_kit import children

SMALL = Benchmark(writers=2, readers=2, seconds=0.2, rounds=3, batch=20, limits=BenchmarkLimits(clients=4))

CHILD = "engine.sqlite.bench_"  # every process of a benchmark runs one of these modules


class AbortsAt:
    """A control that aborts at the nth look."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    @property
    def halted(self) -> bool:
        return False

    async def checkpoint(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Stopping(abort=True)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "shop.db"
    make_shop(path, 2_000)
    return path


def made(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(script)
    return path


def shape_of(path: Path) -> bench_shape.Shape:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        return find_shape(conn)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def measured(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[BenchmarkResult, Path, list[Progress]]:
    folder, told = tmp_path_factory.mktemp("bench"), list[Progress]()
    before = digest(shop)
    found = asyncio.run(
        benchmark_modes(
            shop, SMALL, folder=folder, control=FreeRunning(), report=told.append, quick=True,
            pragmas={"synchronous": "NORMAL", "journal_mode": "DELETE", "busy_timeout": "1"},
        )
    )  # fmt: skip
    assert digest(shop) == before
    assert sorted(p.name for p in shop.parent.iterdir()) == ["shop.db"]
    assert children(CHILD) == []
    return found, folder, told


@pytest.mark.xdist_group("bench")  # measured once, for both
def test_both_modes_are_measured_with_the_tables_of_the_file(
    measured: tuple[BenchmarkResult, Path, list[Progress]],
) -> None:
    found, folder, told = measured
    assert found.compared is Compared.MODES
    assert found.sides == (ROLLBACK, WAL, TUNED)
    assert (found.tables.own_writes, found.tables.own_joined) == (False, False)
    assert found.tables.joined == ("order_items", "orders")
    for load in found.loads:
        for side in found.sides:
            figures = load.figures[side]
            assert figures.operations > 0, (load.name, side)
            assert len(figures.rounds) == 3
            assert figures.p50 is not None
            assert figures.p99 is not None
            assert 0 < figures.p50 <= figures.p99
            assert load.name == "impatient" or figures.errors == 0, (load.name, side, figures.first_error)
    assert {v.name for v in found.verdicts} == {"operations_per_second", "clients", "p95", "errors"}
    assert found.settings[TUNED] == {"journal_mode": "wal", "busy_timeout": "30000", "synchronous": "NORMAL"}
    assert all(rows > 0 for rows in found.rows_written.values())
    assert list(folder.iterdir()) == []
    assert (told[0].done, told[-1].done, told[-1].total) == (0, 63, 63)


@pytest.mark.xdist_group("bench")  # measured once, for both
def test_the_result_is_one_json_object(measured: tuple[BenchmarkResult, Path, list[Progress]]) -> None:
    import json

    plain = json.loads(json.dumps(measured[0].to_plain()))
    assert plain["compared"] == "modes"
    assert plain["loads"][0]["figures"]["wal"]["operations"] == measured[0].loads[0].figures[WAL].operations


async def test_an_abort_between_two_measurements_leaves_nothing(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    with pytest.raises(Stopping):
        await benchmark_modes(shop, SMALL, folder=folder, control=AbortsAt(7), report=silent, quick=True)
    assert list(folder.iterdir()) == []
    assert children(CHILD) == []


async def test_a_cancelled_benchmark_leaves_nothing(shop: Path, tmp_path: Path) -> None:
    folder, begun = tmp_path / "bench", asyncio.Event()

    def report(progress: Progress) -> None:
        if progress.done >= 3:
            begun.set()

    task = asyncio.create_task(benchmark_modes(shop, SMALL, folder=folder, control=FreeRunning(), report=report))
    await begun.wait()
    assert children(CHILD)  # so the list can find them
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(folder.iterdir()) == []
    assert children(CHILD) == []


_KILLED = """
import asyncio, os, sys
from pathlib import Path
from stepflow_tui.engine.bench.modes import benchmark_modes
from stepflow_tui.engine.model.config_wal import Benchmark
from stepflow_tui.engine.model.control import FreeRunning
def report(progress):
    if progress.done == 4:
        print("measuring", flush=True)
asyncio.run(benchmark_modes(Path(sys.argv[1]), Benchmark(writers=2, readers=2, seconds=1, batch=20),
    folder=Path(sys.argv[2]), control=FreeRunning(), report=report))
"""


def until(holds: Callable[[], bool], seconds: float = 20) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if holds():
            return True
        time.sleep(0.02)
    return holds()


def test_a_killed_benchmark_leaves_no_file_and_no_process(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(shop), str(folder)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"measuring\n"
        own = psutil.Process(process.pid).children(recursive=True)
        assert len(own) >= 2
        assert [p.name[:6] for p in folder.iterdir()] == ["bench-"]
        os.kill(process.pid, signal.SIGKILL)
    _gone, alive = psutil.wait_procs(own, timeout=20)
    assert alive == []
    assert until(lambda: not list(folder.iterdir()))


async def test_what_a_killed_one_left_is_removed_by_the_next(tmp_path: Path) -> None:
    async with scratch_folder(tmp_path, 0) as used:
        left = tmp_path / "bench-left"
        left.mkdir()
        (left / "lock").touch()
        (left / "wal.db-wal").touch()
        clear_abandoned(tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == [used.name], "one at work holds its lock"
        assert used.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


async def test_without_room_nothing_is_copied(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch_module, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(DiskFull) as caught:
        await benchmark_modes(shop, SMALL, folder=tmp_path, control=FreeRunning(), report=silent)
    assert caught.value.code == "benchmark_disk"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("vanish", [True, False])
async def test_a_lost_write_is_an_error(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vanish: bool
) -> None:
    """Rows vanish behind the clients' back while they are measured: the benchmark must not report figures."""
    loads = (Load(name="writes", writers=1), Load(name="clients", writers=2))
    monkeypatch.setattr("stepflow_tui.engine.bench.modes.loads_of_modes", lambda _: loads)

    def report(progress: Progress) -> None:
        if progress.done == 5 and vanish:
            [copy] = tmp_path.glob("bench-*/wal.db")
            with closing(sqlite3.connect(copy, timeout=30)) as conn:
                conn.execute("delete from order_items")
                conn.commit()

    working = benchmark_modes(shop, SMALL, folder=tmp_path, control=FreeRunning(), report=report, quick=True)
    if vanish:
        with pytest.raises(StepFailed) as caught:
            await working
        assert caught.value.code == "benchmark_lost_writes"
    else:
        assert (await working).rows_written[WAL] > 0
    assert list(tmp_path.iterdir()) == []


PLAIN = "create table t(id integer primary key, a text);"
ROWS = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 50) insert into t select {} from n;"


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("create table t(id integer primary key, a text)", "i, 'x' || i"),
        ("create table t(code text primary key, a text) without rowid", "'c' || i, 'x'"),
        ("create table t(a text, b real)", "'x' || i, i / 2.0"),
        ("create table t(a integer, b integer, c text, primary key (a, b))", "i, i, 'x'"),
        ("create table t(id integer primary key, mail text unique collate nocase, n integer unique)", "i, 'm' || i, i"),
        ("create table t(id integer primary key, a text, b generated always as (a || '!') stored)", "i, 'x'"),
        ('create table t("sel""ect" integer primary key, "Straße;--" text)', "i, 'x'"),
    ],
)
def test_ordinary_tables_take_writes(tmp_path: Path, table: str, rows: str) -> None:
    columns = ROWS.format(rows) if "generated" not in table else ROWS.replace("into t", "into t(id, a)").format(rows)
    path = made(tmp_path / "a.db", f"{table};{columns}")
    before = digest(path)
    found = shape_of(path)
    assert found.written.table.name == "t"
    assert not found.own_writes
    assert found.own_joined
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("select count(*) from t").fetchone() == (50,), "what was tried was taken back"
    assert digest(path) != before, "the tables of the join were made in the copy"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("create table t(id integer primary key check (id <= 50), a text);", "a CHECK refuses new keys"),
        (
            PLAIN + "create trigger g before insert on t when new.id > 50 begin select raise(ignore); end;",
            "a trigger drops new rows without a word",
        ),
        (
            PLAIN
            + "create trigger g after insert on t when new.id > 90 begin delete from t where id = new.id - 90; end;",
            "a trigger takes old rows away",
        ),
        (PLAIN + "create unique index u on t(a) where a = 'x1';", ""),
    ],
)
def test_tables_that_do_not_take_writes_are_left_alone(tmp_path: Path, script: str, why: str) -> None:
    path = made(tmp_path / "a.db", script + ROWS.format("i, 'x' || i"))
    assert shape_of(path).own_writes is bool(why), why


def test_a_file_without_rows_is_measured_with_tables_of_our_own(tmp_path: Path) -> None:
    found = shape_of(
        made(tmp_path / "a.db", "create table t(id integer primary key); create view v as select * from t;")
    )
    assert found.own_writes
    assert found.own_joined


def test_odd_values_are_sampled_or_stepped_over(tmp_path: Path) -> None:
    path = made(
        tmp_path / "a.db",
        "create table t(id integer primary key, a);" + ROWS.format(
            "i, case i % 5 when 0 then cast(x'c328' as text) when 1 then x'00ff' when 2 then 9e999 when 3 then null else 'a' || char(0) end"
        ),
    )  # fmt: skip
    found = shape_of(path)
    assert not found.own_writes
    assert all(row[0] % 5 for row in found.written.templates), "text that is not UTF-8 can't be bound again"


def test_the_largest_table_is_used_and_very_large_ones_can_be_left_out(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(shop.read_bytes())
    with closing(sqlite3.connect(copy, isolation_level=None)) as conn:
        found: Any = find_shape(conn)
        smaller = find_shape(conn, most_rows=found.written.rows - 1)
    assert found.written.table.name == "order_items"
    assert smaller.written.table.name != "order_items"
    assert smaller.written.rows < found.written.rows

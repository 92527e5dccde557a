"""SQLite against a real PostgreSQL: the same rows, nothing left in the target, the operator's tables untouched."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from stepflow_tui.engine.bench.sides import POSTGRES, SQLITE, benchmark_sides
from stepflow_tui.engine.errors import Refused, Stopping
from stepflow_tui.engine.model.benchmark import VerdictState
from stepflow_tui.engine.model.config_wal import Benchmark, BenchmarkLimits
from stepflow_tui.engine.model.control import FreeRunning, silent
from stepflow_tui.engine.postgres.bench import bench_schema
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.sqlite.sample import make_shop
from tests.integration.test_bench_modes import AbortsAt, until

SMALL = Benchmark(writers=2, readers=2, batch=20, limits=BenchmarkLimits(clients=4))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "shop.db"
    make_shop(path, 2_000)
    return path


async def asked(target: Target, sql: str) -> list[Any]:
    connection = await target.connect()
    try:
        return [row[0] for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def schemas(target: Target) -> list[str]:
    return await asked(target, "select nspname from pg_namespace where nspname like '\\_stepflow\\_bench%'")


async def test_both_sides_answer_the_same_requests(shop: Path, tmp_path: Path, pg_target: Target) -> None:
    await asked(pg_target, "create table public.order_items as select 7 as mine")
    found = await benchmark_sides(
        shop, pg_target, SMALL, folder=tmp_path, control=FreeRunning(), report=silent, wal=False, quick=True
    )
    assert found.sides == (SQLITE, POSTGRES)
    assert [load.name for load in found.loads if not load.of] == [
        "writes", "concurrent_writes", "reads", "joins", "batched", "full_text", "stress",
    ]  # fmt: skip
    for load in found.loads:
        for side in found.sides:
            assert load.figures[side].operations > 0, (load.name, side)
            assert load.figures[side].errors == 0, (load.name, side, load.figures[side].first_error)
    verdicts = {v.name: v for v in found.verdicts}
    assert verdicts["concurrent_writes"].limit == 3
    assert verdicts["errors"].state is VerdictState.MET
    assert found.settings[POSTGRES]["server_version"]
    assert {"cpu", "cpus", "memory_bytes", "disk_free_bytes", "sqlite", "python"} <= set(found.machine)
    assert await schemas(pg_target) == []
    assert await asked(pg_target, "select mine from public.order_items") == [7]
    assert list(tmp_path.iterdir()) == []


async def test_the_tables_hold_the_same_rows_while_it_measures(shop: Path, tmp_path: Path, pg_target: Target) -> None:
    """Counted on both sides before the first measurement; then aborted."""
    both: dict[str, Any] = {}

    class Looks(AbortsAt):
        async def checkpoint(self) -> None:
            name = next(iter(await schemas(pg_target)), None)
            made = (
                await asked(pg_target, f"select count(*) from pg_tables where schemaname = '{name}'") if name else [0]
            )
            if made == [3] and not both:  # both tables of the join and the texts: nothing was measured yet
                [copy] = tmp_path.glob("bench-*/base.db")
                with closing(sqlite3.connect(copy)) as conn:
                    both["lite"] = conn.execute("select count(*), sum(quantity) from order_items").fetchone()
                both["pg"] = await asked(pg_target, f'select count(*) from "{name}".t0')
                both["sum"] = await asked(pg_target, f'select sum(c3) from "{name}".t0')
                self.left = 0
            await super().checkpoint()

    with pytest.raises(Stopping):
        await benchmark_sides(
            shop, pg_target, SMALL, folder=tmp_path, control=Looks(1_000), report=silent, wal=True, quick=True
        )
    assert both["lite"] == (both["pg"][0], both["sum"][0])
    assert await schemas(pg_target) == []
    assert list(tmp_path.iterdir()) == []


async def test_a_schema_that_a_killed_one_left_is_dropped_and_one_in_use_is_not(pg_target: Target) -> None:
    await asked(pg_target, "create schema _stepflow_bench_left")
    async with bench_schema(pg_target) as used:
        assert await schemas(pg_target) == [used.name]
        async with bench_schema(pg_target) as other:
            assert sorted(await schemas(pg_target)) == sorted([used.name, other.name])
    assert await schemas(pg_target) == []


async def test_a_user_who_may_not_make_a_schema_is_told(pg_target: Target) -> None:
    role = f"bench_{os.getpid()}"
    await asked(pg_target, f"create role {role} login password 'x'")
    try:
        with pytest.raises(Refused) as caught:
            async with bench_schema(replace(pg_target, user=role, password="x")):
                pass
        assert caught.value.code == "benchmark_schema"
        assert role in caught.value.hint
    finally:
        await asked(pg_target, f"drop role {role}")


_KILLED = """
import asyncio, os, sys
from pathlib import Path
from stepflow_tui.engine.bench.sides import benchmark_sides
from stepflow_tui.engine.model.config_wal import Benchmark
from stepflow_tui.engine.model.control import FreeRunning
from stepflow_tui.engine.postgres.connect import Target
def report(progress):
    if progress.done == 2:
        print("measuring", flush=True)
asyncio.run(benchmark_sides(Path(sys.argv[1]), Target.from_config(os.environ["BENCH_DSN"], {}), Benchmark(writers=2, readers=2,
    seconds=1, batch=20), folder=Path(sys.argv[2]), control=FreeRunning(), report=report, wal=False))
"""


def test_a_killed_benchmark_leaves_no_schema(shop: Path, tmp_path: Path, pg_target: Target) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(shop), str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
        env={**os.environ, "BENCH_DSN": pg_target.uri()},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"measuring\n"
        assert len(asyncio.run(schemas(pg_target))) == 1
        own = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    _gone, alive = psutil.wait_procs(own, timeout=20)
    assert alive == []
    assert until(lambda: asyncio.run(schemas(pg_target)) == [])
    assert until(lambda: not list(tmp_path.iterdir()))

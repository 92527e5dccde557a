"""SQLite against PostgreSQL: the same rows, the same requests, on scratch copies of both."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stepflow_tui.engine.bench.copies import Copies, Found, lite_side
from stepflow_tui.engine.bench.fleet import Fleet, Keeper
from stepflow_tui.engine.bench.loads import loads_of_sides
from stepflow_tui.engine.bench.machine import machine_of, notes_of
from stepflow_tui.engine.bench.rounds import BUSY_TIMEOUT_MS, Side, load_results, run_rounds
from stepflow_tui.engine.bench.scratch import scratch_folder
from stepflow_tui.engine.bench.timing import timing_of
from stepflow_tui.engine.bench.verdicts import named, verdicts_of_sides, writes_uncompared
from stepflow_tui.engine.model.benchmark import BenchmarkResult, Compared, LoadResult, TablesUsed
from stepflow_tui.engine.model.config_wal import Benchmark
from stepflow_tui.engine.model.control import Control, Report
from stepflow_tui.engine.postgres import bench as postgres
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.sqlite.bench_join import JOIN_ROWS
from stepflow_tui.engine.sqlite.bench_script import decoded, decoded_shape, encoded
from stepflow_tui.engine.sqlite.bench_shape import RANGE_ROWS
from stepflow_tui.engine.sqlite.child import path_text

SQLITE, POSTGRES = "sqlite", "postgres"
MOST_ROWS = 1_000_000
"""Larger tables are not loaded into the target for a benchmark; the next smaller one serves."""
_CHILD = "stepflow_tui.engine.bench.postgres_child"


async def benchmark_sides(
    source_copy: Path,
    target: Target,
    config: Benchmark,
    *,
    folder: Path,
    control: Control,
    report: Report,
    wal: bool,
    quick: bool = False,
) -> BenchmarkResult:
    """Measure SQLite and PostgreSQL in turns.

    PostgreSQL gets the same tables, rows and indexes in a schema of the benchmark's own that is dropped at the end, with types
    by what is stored: the operator's tables there are neither read nor written.

    Args:
        source_copy: a finished copy that can't change; it is only read.
        target: the database in which the schema is made.
        config: clients, rounds, seconds and limits.
        folder: where the scratch copies are made (0700) and removed again.
        control: pause, stop and abort, between two measurements.
        report: measurements done and total.
        wal: whether the application's database is in WAL mode.
        quick: three rounds of 0.3 s.

    Raises:
        DiskFull: `benchmark_disk`. Refused: `benchmark_schema`. TargetConnectionError.
        StepFailed: `benchmark_lost_writes`, `benchmark_stuck`, `child_failed`.
        Stopping: by `control`; nothing is left behind on either side.
    """
    began, timing = time.monotonic(), timing_of(config, quick=quick)
    mode = "wal" if wal else "delete"
    async with scratch_folder(folder, 3 * source_copy.stat().st_size) as scratch, Copies(scratch) as copies:
        await control.checkpoint()
        found = await copies.begin(source_copy, sides=True, most_rows=MOST_ROWS)
        machine = {**machine_of(scratch, found.sqlite), "server_local": target.is_local}
        await copies.make(SQLITE, mode=mode)
        async with postgres.bench_schema(target) as schema, Keeper(_CHILD, _keep(schema)):
            await _load(schema, copies, found, control)
            server = await schema.settings()
            loads = loads_of_sides(config, text=bool(found.shape["words"]))
            async with _both(copies, found, schema) as sides:
                rows = await sides[0].count()
                measured = await run_rounds(sides, loads, timing, control=control, report=report)
    names = (SQLITE, POSTGRES)
    used, durable = TablesUsed(**found.tables), _durable(server)
    results = _with_unmeasured(load_results(measured, loads, names))
    if not durable:
        results = writes_uncompared(results)
    ratio = next(r.ratios[POSTGRES] for r in results if r.name == "concurrent_writes")
    return BenchmarkResult(
        compared=Compared.SIDES, sides=names, better=ratio.better if ratio is not None else None, loads=results,
        verdicts=verdicts_of_sides(results, config.limits, side=POSTGRES, durable=durable), tables=used, machine=machine,
        settings={SQLITE: {"journal_mode": mode, "busy_timeout": str(BUSY_TIMEOUT_MS)}, POSTGRES: server},
        rounds=timing.rounds, seconds=timing.seconds, took=time.monotonic() - began, rows_before=rows,
        rows_written={n: measured.inserted(n) for n in names},
        notes=_notes(used, machine, local=target.is_local, durable=durable),
    )  # fmt: skip


@asynccontextmanager
async def _both(copies: Copies, found: Found, schema: postgres.BenchSchema) -> AsyncIterator[tuple[Side, Side]]:
    """Both sides with their clients."""
    shape = postgres.bench_shape(decoded_shape(found.shape), range_rows=RANGE_ROWS, join_rows=JOIN_ROWS)
    hello = {"op": "shape", "shape": _plain(shape), "uri": schema.target.uri(), "schema": schema.name}
    sql = _qualified(shape, schema.name)
    async with (
        Fleet(copies.module, [{"op": "shape", "shape": found.shape}]) as lite,
        Fleet(_CHILD, [hello]) as pg,
    ):
        other = Side(name=POSTGRES, fleet=pg, job={}, count=lambda: schema.count(sql))
        yield lite_side(copies, lite, SQLITE, found, {}), other


def _qualified(shape: Mapping[str, Any], schema: str) -> str:
    """The count for the connection that made the schema: its search path knows the operator's tables."""
    sql: str = shape["sql"]["count"]
    return sql.replace(" from ", f' from "{schema}".')


def _keep(schema: postgres.BenchSchema) -> dict[str, Any]:
    return {"op": "keep", "uri": schema.target.uri(), "schema": schema.name}


def _plain(shape: Mapping[str, Any]) -> dict[str, Any]:
    return {**shape, **{name: encoded(shape[name]) for name in ("templates", "keys", "join_keys")}}


async def _load(schema: postgres.BenchSchema, copies: Copies, found: Found, control: Control) -> None:
    for at, copy in enumerate(found.shape["copies"]):
        await schema.load(f"t{at}", copy, _rows(copies, copy, control))
    if found.shape["words"]:
        text = found.shape["text_copy"]
        await schema.load_texts(_rows(copies, text, control))


async def _rows(copies: Copies, copy: Mapping[str, Any], control: Control) -> AsyncIterator[list[list[Any]]]:
    message = {"op": "rows", "path": path_text(copies.path("base"))}
    portion = (await copies.ask({**message, "copy": copy}))["rows"]
    while portion:
        await control.checkpoint()
        yield decoded(portion)
        portion = (await copies.ask(message))["rows"]


def _with_unmeasured(results: tuple[LoadResult, ...]) -> tuple[LoadResult, ...]:
    """Full text is listed even where there is no text to search."""
    if named(results, "full_text") is not None:
        return results
    return (*results, LoadResult(name="full_text", writers=0, readers=0, reason="no_text"))


def _durable(server: Mapping[str, str]) -> bool:
    return "off" not in (server.get("fsync"), server.get("synchronous_commit"))


def _notes(used: TablesUsed, machine: Mapping[str, Any], *, local: bool, durable: bool) -> tuple[str, ...]:
    found = {"server_elsewhere": not local, "server_not_durable": not durable}
    return (*notes_of(used, machine), *(code for code, holds in found.items() if holds))

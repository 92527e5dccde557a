"""Rollback journal against WAL, on copies of the operator's own database."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from stepflow_tui.engine.bench.copies import Copies, lite_side
from stepflow_tui.engine.bench.fleet import Fleet
from stepflow_tui.engine.bench.loads import loads_of_modes
from stepflow_tui.engine.bench.machine import machine_of, notes_of
from stepflow_tui.engine.bench.rounds import BUSY_TIMEOUT_MS, load_results, run_rounds
from stepflow_tui.engine.bench.scratch import scratch_folder
from stepflow_tui.engine.bench.timing import timing_of
from stepflow_tui.engine.bench.verdicts import better, named, verdicts_of_modes
from stepflow_tui.engine.model.benchmark import BenchmarkResult, Compared, LoadResult, TablesUsed
from stepflow_tui.engine.model.config_wal import Benchmark
from stepflow_tui.engine.model.control import Control, Report

ROLLBACK, WAL, TUNED = "rollback", "wal", "wal_settings"
PERSISTENT = frozenset({"journal_mode", "page_size", "auto_vacuum", "busy_timeout"})
"""Settings that are the file's, or that every side gets: no client sets them on its own."""


async def benchmark_modes(
    source_copy: Path,
    config: Benchmark,
    *,
    folder: Path,
    control: Control,
    report: Report,
    pragmas: Mapping[str, str] | None = None,
    quick: bool = False,
) -> BenchmarkResult:
    """Measure a database with a rollback journal and with WAL, in turns.

    Args:
        source_copy: a finished copy that can't change; it is only read.
        config: clients, rounds, seconds and limits.
        folder: where the scratch copies are made (0700) and removed again; on the disk that is to be measured.
        control: pause, stop and abort, between two measurements.
        report: measurements done and total.
        pragmas: what the application's connections should set; a third side has WAL and these.
        quick: three rounds of 0.3 s.

    Returns:
        The result; side `wal` is held against the limits.

    Raises:
        DiskFull: `benchmark_disk`.
        StepFailed: `benchmark_lost_writes`, `benchmark_mode_refused`, `benchmark_stuck`, `child_failed`.
        Stopping: by `control`; nothing is left behind.
    """
    began, timing = time.monotonic(), timing_of(config, quick=quick)
    settings = {name: value for name, value in (pragmas or {}).items() if name.lower() not in PERSISTENT}
    names = (ROLLBACK, WAL, TUNED) if settings else (ROLLBACK, WAL)
    needed = (len(names) + 1) * source_copy.stat().st_size
    async with scratch_folder(folder, needed) as scratch, Copies(scratch) as copies:
        await control.checkpoint()
        found = await copies.begin(source_copy)
        machine = machine_of(scratch, found.sqlite)
        for name in names:
            await control.checkpoint()
            await copies.make(name, mode="delete" if name == ROLLBACK else "wal")
        async with Fleet(copies.module, [{"op": "shape", "shape": found.shape}]) as fleet:
            sides = [lite_side(copies, fleet, n, found, settings if n == TUNED else {}) for n in names]
            loads = loads_of_modes(config)
            rows = await sides[0].count()
            measured = await run_rounds(sides, loads, timing, control=control, report=report)
    results = load_results(measured, loads, names)
    used = TablesUsed(**found.tables)
    return BenchmarkResult(
        compared=Compared.MODES, sides=names, better=_better(results), loads=results,
        verdicts=verdicts_of_modes(results, config.limits, side=WAL, unharmed=measured.unharmed("clients", WAL)),
        tables=used, machine=machine, settings={n: _settings(n, settings) for n in names}, rounds=timing.rounds,
        seconds=timing.seconds, took=time.monotonic() - began, rows_before=rows,
        rows_written={n: measured.inserted(n) for n in names}, notes=notes_of(used, machine),
    )  # fmt: skip


def _better(results: tuple[LoadResult, ...]) -> bool | None:
    mixed = named(results, "mixed")
    return better(mixed, [r for r in results if r.of == "mixed"], WAL) if mixed is not None else None


def _settings(name: str, settings: Mapping[str, str]) -> dict[str, str]:
    mode = {"journal_mode": "delete" if name == ROLLBACK else "wal", "busy_timeout": str(BUSY_TIMEOUT_MS)}
    return mode | (dict(settings) if name == TUNED else {})

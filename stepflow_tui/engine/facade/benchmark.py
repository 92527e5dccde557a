"""`benchmark`: measures on copies of the operator's database, outside a run. The source is only read, nothing is left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.bench.modes import benchmark_modes
from stepflow_tui.engine.bench.scratch import scratch_folder
from stepflow_tui.engine.bench.sides import benchmark_sides
from stepflow_tui.engine.errors import Refused, UsageError
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.model.benchmark import BenchmarkResult
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.config_wal import Benchmark
from stepflow_tui.engine.model.control import FreeRunning
from stepflow_tui.engine.model.pragmas import profile
from stepflow_tui.engine.sqlite.backup import make_backup
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.examine import Examined, SourceState, examine
from stepflow_tui.engine.steps.preflight import standalone_view

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig
    from stepflow_tui.engine.model.config import Config
    from stepflow_tui.engine.model.progress import Progress

FOLDER = "benchmarks"
LEAST_ROUNDS, MOST_ROUNDS, MOST_SECONDS = 3, 100, 600.0
"""What `--rounds` and `--seconds` take; fewer than three rounds give no interval worth the name."""

Tell = Callable[[Mapping[str, Any]], None]


async def benchmark(
    loaded: LoadedConfig,
    *,
    state: Path,
    rounds: int | None = None,
    seconds: float | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Measure both sides of the config's kind.

    Args:
        loaded: the config.
        state: the state directory; the copies are made in it.
        rounds, seconds: instead of the config's.
        tell: takes the progress.

    Returns:
        The result (`BenchmarkResult`) as a plain object, with `source` and its `bytes`.

    Raises:
        UsageError: rounds or seconds out of range.
        Refused: the source can't be read or is too large; its writers would wait too long; no schema may be made.
        DiskFull, StepFailed, TargetConnectionError: nothing is left behind.
    """
    config = loaded.config
    settings = _settings(config.benchmark, rounds, seconds)
    examined = await examine(config.source.path)
    refuse_unfit(examined, settings.max_bytes)
    folder = StateDir.open(state, os.environ).path / FOLDER
    size = examined.size + examined.wal_bytes

    def report(progress: Progress) -> None:
        if tell is not None:
            tell(to_plain(progress))

    async with AsyncExitStack() as resources:
        own = await resources.enter_async_context(scratch_folder(folder, 4 * size))
        backup = await make_backup(
            examined, own, name="source.db", control=FreeRunning(), report=report, deadline_s=config.backup.deadline,
            now_ms=time.time_ns() // 1_000_000, stall_s=config.source.allow_stall,
        )  # fmt: skip
        found = await _measure(
            config, state, backup.file, settings, folder, report, wal=examined.wal, resources=resources
        )
    return told(found, examined, folder)


def _settings(config: Benchmark, rounds: int | None, seconds: float | None) -> Benchmark:
    if rounds is not None and not LEAST_ROUNDS <= rounds <= MOST_ROUNDS:
        raise UsageError(
            f"--rounds {rounds} is not possible.",
            hint=f"From {LEAST_ROUNDS} to {MOST_ROUNDS}: fewer give no confidence interval.",
            code="benchmark_rounds",
        )
    if seconds is not None and not 0 < seconds <= MOST_SECONDS:
        raise UsageError(
            f"--seconds {seconds:g} is not possible.",
            hint=f"More than 0, at most {MOST_SECONDS:.0f}.",
            code="benchmark_seconds",
        )
    wanted = {"rounds": rounds, "seconds": seconds}
    return config.model_copy(update={name: value for name, value in wanted.items() if value is not None})


def refuse_unfit(examined: Examined, most_bytes: int) -> None:
    """An empty or too large database is not measured; one that can't be read is refused where it is copied."""
    size = examined.size + examined.wal_bytes
    if examined.state is SourceState.EMPTY:
        raise Refused(
            f"{shown(examined.path)} is empty: there is nothing to measure.",
            hint="Name a database with tables as `source.path`.",
            code="benchmark_empty",
        )
    if size > most_bytes:
        raise Refused(
            f"{shown(examined.path)} is larger than a benchmark copies.",
            detail=f"{size} bytes, allowed are {most_bytes}",
            hint="Raise `benchmark.max_bytes` if there is time and room for four copies of it.",
            code="benchmark_too_large",
        )


async def _measure(
    config: Config, state: Path, copy: Path, settings: Benchmark, folder: Path, report: Callable[[Progress], None],
    *, wal: bool, resources: AsyncExitStack,
) -> BenchmarkResult:  # fmt: skip
    control = FreeRunning()
    if config.in_place:
        pragmas = {p.name: p.value for p in profile(config.wal)}
        return await benchmark_modes(copy, settings, folder=folder, control=control, report=report, pragmas=pragmas)
    view = await standalone_view(config, StateDir.open(state, os.environ).path, resources)
    if view.error is not None:
        raise view.error
    return await benchmark_sides(copy, view.target, settings, folder=folder, control=control, report=report, wal=wal)


def told(found: BenchmarkResult, examined: Examined, folder: Path) -> dict[str, Any]:
    """The result with its source; another disk than the source's is said to be one."""
    if folder.stat().st_dev != examined.real.stat().st_dev:
        found = replace(found, notes=(*found.notes, "other_disk"))
    return {"source": shown(examined.real), "bytes": examined.size, **found.to_plain()}

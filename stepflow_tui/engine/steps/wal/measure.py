"""The benchmark of a run: rollback journal against WAL, on copies of the tested backup, before anything is changed."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from stepflow_tui.engine.bench.modes import benchmark_modes
from stepflow_tui.engine.errors import DiskFull, StepFailed
from stepflow_tui.engine.model.benchmark import BenchmarkResult, Verdict, VerdictState
from stepflow_tui.engine.model.config_wal import Benchmark
from stepflow_tui.engine.model.finding import Finding, info, warning
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import frozen_of
from stepflow_tui.engine.steps.settle import settle_checklist
from stepflow_tui.engine.steps.wal.facts import converts, scratch_of

RESULT = "benchmark.json"


class Measure(PlainStep):
    """Measures. What it finds stops nothing by itself: not being faster is a warning that somebody accepts, or goes back."""

    name = "benchmark"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Take turns with both modes.

        Raises:
            StepFailed: `benchmark_lost_writes`: a copy lost what it had acknowledged.
        """
        left_out = await _left_out(ctx)
        result = None if left_out else await _measured(ctx)
        if isinstance(result, str):
            left_out, result = result, None
        if result is None:
            await ctx.journal.set_findings("benchmark", [info("wal_benchmark_left_out", None, reason=left_out)])
            return {"skipped": left_out}
        await asyncio.to_thread(_keep, ctx.run_dir / RESULT, result.to_plain())
        await ctx.journal.set_findings("benchmark", _findings(result))
        evidence = {
            "better": result.better,
            "limits_met": _limits(result),
            "note": note_of(result),
            "took": result.took,
        }
        await ctx.journal.set_evidence("validate.benchmark", evidence)
        await settle_checklist(ctx, times=("before",))
        return evidence


async def _left_out(ctx: RunContext) -> str:
    """Why nothing is measured, "" where it is."""
    if not await converts(ctx):
        return "the database is in WAL mode already"
    frozen = await frozen_of(ctx)
    size = frozen.path.stat().st_size
    if size == 0:
        return "the database is empty"
    limit = ctx.config.benchmark.max_bytes
    return f"{size} bytes are more than benchmark.max_bytes ({limit})" if size > limit else ""


async def _measured(ctx: RunContext) -> BenchmarkResult | str:
    """The result; a text where the disk has no room for copies, which is no reason to stop."""
    config = ctx.config.benchmark
    try:
        return await benchmark_modes(
            (await frozen_of(ctx)).path,
            config,
            folder=scratch_of(ctx),
            control=ctx.control,
            report=ctx.report,
            quick=config == Benchmark(),  # a run waits for it: a longer one is asked for by writing its figures down
        )
    except DiskFull as error:
        return error.detail or error.message
    except StepFailed as error:
        if error.code == "benchmark_lost_writes":
            raise
        return f"{error.message} {error.detail}".strip()


def _keep(path: Path, plain: dict[str, Any]) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(plain, file)


def _findings(result: BenchmarkResult) -> list[Finding]:
    found: list[Finding] = []
    if result.better is False:
        found.append(warning("wal_not_better", None, figures=_ratios(result)))
    missed = [_figure(v) for v in result.verdicts if v.state is VerdictState.MISSED]
    if missed:
        found.append(info("wal_limit_missed", None, figures="; ".join(missed)))
    return found


def _limits(result: BenchmarkResult) -> bool | None:
    states = {v.state for v in result.verdicts}
    if VerdictState.MISSED in states:
        return False
    return True if VerdictState.MET in states else None


def _figure(verdict: Verdict) -> str:
    figure = "not measured" if verdict.figure is None else _told(verdict.figure, verdict.unit)
    return f"{verdict.name.replace('_', ' ')} {figure} (limit {_told(verdict.limit, verdict.unit)})"


def _told(value: float, unit: str) -> str:
    if unit == "seconds":
        return f"{value * 1000:.3g} ms"
    return f"{value:.2%}" if unit == "share" else f"{value:,.0f}"


def _ratios(result: BenchmarkResult) -> str:
    side = result.sides[1]
    told = [(load.name, load.ratios.get(side)) for load in result.loads]
    return ", ".join(f"{name.replace('_', ' ')} {ratio.value:.2f} x" for name, ratio in told if ratio is not None)


def note_of(result: BenchmarkResult) -> str:
    """WAL by rollback journal, load by load, and the limits."""
    limits = ", ".join(f"{_figure(v)}: {v.state.value}" for v in result.verdicts)
    return f"WAL against rollback journal: {_ratios(result)}; {limits}"

"""Runs the rounds: in each of them every load meets every side, the order of the sides turning from round to round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow_tui.engine.bench.fleet import Fleet
from stepflow_tui.engine.bench.loads import Load
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.benchmark import Figures, LoadResult
from stepflow_tui.engine.model.benchmark_stats import added, paired_ratio, percentile
from stepflow_tui.engine.model.control import Control, Report
from stepflow_tui.engine.model.progress import Progress

BUSY_TIMEOUT_MS = 30_000
_NEW_KEYS = 1_000_000
"""Set aside for one client in one measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side: its clients, what each of them is told beside its load, and how its written table is counted."""

    name: str
    fleet: Fleet
    job: Mapping[str, Any]
    count: Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often and how long. `batch`: rows per transaction."""

    rounds: int
    seconds: float
    batch: int


@dataclass(slots=True)
class Measured:
    """What the clients said: by load and side, one list of (kind of client, result) per round."""

    results: dict[tuple[str, str], list[list[tuple[str, dict[str, Any]]]]] = field(default_factory=dict)

    def inserted(self, side: str) -> int:
        """Rows whose insert was acknowledged on that side."""
        return sum(
            r["inserted"] for (_, s), rounds in self.results.items() if s == side for one in rounds for _, r in one
        )

    def certain(self, side: str) -> bool:
        """Whether every request was answered, or refused because of a lock."""
        every = (r for (_, s), rounds in self.results.items() if s == side for one in rounds for _, r in one)
        return all(r["errors"] == r["locked"] for r in every)

    def figures(self, load: str, side: str, kinds: Sequence[str]) -> Figures:
        """All rounds of a load on one side together, of clients of these kinds."""
        rounds = [[r for kind, r in one if kind in kinds] for one in self.results[load, side]]
        every = [r for one in rounds for r in one]
        counts = added(dict(r["histogram"]) for r in every)
        speeds = tuple(sum(r["per_second"] for r in one) for one in rounds)
        return Figures(
            operations=sum(r["operations"] for r in every), per_second=sum(speeds) / len(speeds), rounds=speeds,
            p50=percentile(counts, 0.5), p95=percentile(counts, 0.95), p99=percentile(counts, 0.99),
            locked=sum(r["locked"] for r in every), errors=sum(r["errors"] for r in every),
            cpu_seconds=sum(r["cpu_seconds"] for r in every),
            first_error=next((r["first_error"] for r in every if r["first_error"]), ""),
        )  # fmt: skip

    def unharmed(self, load: str, side: str) -> int:
        """How many clients of the load had no error, in its worst round."""
        return min(sum(not r["errors"] for _, r in one) for one in self.results[load, side])


async def run_rounds(
    sides: Sequence[Side], loads: Sequence[Load], timing: Timing, *, control: Control, report: Report
) -> Measured:
    """Measure everything.

    Raises:
        StepFailed: `benchmark_lost_writes`: a side holds other rows than it acknowledged.
        Stopping: by `control`, looked at between two measurements.
    """
    measured, done = Measured(), 0
    total = timing.rounds * len(loads) * len(sides)
    before = [await side.count() for side in sides]
    for turn in range(timing.rounds):
        for at, load in enumerate(loads):
            for side in _turned(sides, turn):
                await control.checkpoint()
                report(Progress(step="benchmark", item=load.name, done=done, total=total, unit="measurements"))
                jobs = _jobs(load, side, timing, serial=(turn * len(loads) + at))
                found = await side.fleet.measure(jobs)
                kept = measured.results.setdefault((load.name, side.name), [])
                kept.append(list(zip(load.kinds(), found, strict=True)))
                done += 1
    report(Progress(step="benchmark", done=done, total=total, unit="measurements"))
    for side, rows in zip(sides, before, strict=True):
        expected, certain = rows + measured.inserted(side.name), measured.certain(side.name)
        refuse_lost(side.name, expected, await side.count(), certain=certain)
    return measured


def _turned(sides: Sequence[Side], turn: int) -> list[Side]:
    """Each side comes first as often as the others, and each follows every other."""
    first = (turn // 2) % len(sides)
    order = [*sides[first:], *sides[:first]]
    return order[::-1] if turn % 2 else order


def _jobs(load: Load, side: Side, timing: Timing, *, serial: int) -> list[dict[str, Any]]:
    kinds = load.kinds()
    numbers = [serial * 512 + at for at in range(len(kinds))]
    return [
        {
            "op": "measure", "kind": kind, "seconds": timing.seconds * load.share, "seed": number, "first": number * _NEW_KEYS,
            "batch": timing.batch, "timeout_ms": BUSY_TIMEOUT_MS if load.patient else 0, **side.job,
        }
        for kind, number in zip(kinds, numbers, strict=True)
    ]  # fmt: skip


def refuse_lost(side: str, expected: int, found: int, *, certain: bool) -> None:
    """What was acknowledged must be there; where the outcome of every request is certain, nothing else."""
    if found < expected or (certain and found > expected):
        raise StepFailed(
            f"The benchmark's copy on the side {side} does not hold the rows that were acknowledged.",
            detail=f"{expected} rows were expected, {found} are there",
            hint="Look at the disk and the memory of this machine before you trust any database on it.",
            code="benchmark_lost_writes",
        )


def load_results(measured: Measured, loads: Sequence[Load], sides: Sequence[str]) -> tuple[LoadResult, ...]:
    """Figures and ratios, the writes and the reads of a load behind it where they are shown."""
    found = []
    for load in loads:
        found.append(_one(measured, load, sides, load.name, load.writers, load.readers, (load.writes, load.reads)))
        if load.parts:
            found.append(_one(measured, load, sides, f"{load.name}_writes", load.writers, 0, (load.writes,)))
            found.append(_one(measured, load, sides, f"{load.name}_reads", 0, load.readers, (load.reads,)))
    return tuple(found)


def _one(
    measured: Measured, load: Load, sides: Sequence[str], name: str, writers: int, readers: int, kinds: Sequence[str]
) -> LoadResult:
    figures = {side: measured.figures(load.name, side, kinds) for side in sides}
    ratios = {side: paired_ratio(figures[sides[0]].rounds, figures[side].rounds) for side in sides[1:]}
    of = "" if name == load.name else load.name
    return LoadResult(name=name, writers=writers, readers=readers, figures=figures, ratios=ratios, of=of)

"""Holds figures against the configured limits. Pure: what was not measured is said to be so, never guessed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from stepflow_tui.engine.bench.loads import MOST_CLIENTS
from stepflow_tui.engine.model.benchmark import LoadResult, Verdict, VerdictState
from stepflow_tui.engine.model.config_wal import BenchmarkLimits

IMPATIENT = "impatient"


def verdicts_of_modes(
    loads: Sequence[LoadResult], limits: BenchmarkLimits, *, side: str, unharmed: int
) -> tuple[Verdict, ...]:
    """Operations per second, clients without an error, 95th percentile and errors of one side.

    Args:
        unharmed: clients that had no error in the worst round.
    """
    mixed = named(loads, "mixed")
    found = mixed.figures[side] if mixed is not None else None
    many = limits.clients > MOST_CLIENTS
    return (
        at_least(
            "operations_per_second",
            found.per_second if found else None,
            limits.operations_per_second,
            "per_second",
            side,
        ),
        _unmeasured("clients", limits.clients, "clients", side, "too_many_clients")
        if many
        else at_least("clients", float(unharmed), limits.clients, "clients", side),
        at_most("p95", found.p95 if found else None, limits.p95, "seconds", side),
        at_most("errors", error_share(loads, side), limits.errors, "share", side),
    )


def verdicts_of_sides(
    loads: Sequence[LoadResult], limits: BenchmarkLimits, *, side: str, durable: bool
) -> tuple[Verdict, ...]:
    """Concurrent writes and joins by their ratio, errors by their share.

    Args:
        durable: the side answers a commit when it is on the disk, as SQLite does. Otherwise its writes can't be compared.
    """
    writes = ratio_above("concurrent_writes", named(loads, "concurrent_writes"), limits.concurrent_writes, side)
    if not durable:
        writes = replace(writes, state=VerdictState.NOT_MEASURED, reason="not_durable")
    return (
        writes,
        ratio_above("joins", named(loads, "joins"), limits.joins, side),
        at_most("errors", error_share(loads, side), limits.errors, "share", side),
    )


def writes_uncompared(loads: Iterable[LoadResult]) -> tuple[LoadResult, ...]:
    """The loads, those with writers without their ratios: one side did not do what the other did."""
    return tuple(replace(load, ratios=dict.fromkeys(load.ratios)) if load.writers else load for load in loads)


def named(loads: Iterable[LoadResult], name: str) -> LoadResult | None:
    """The load of that name, if it was measured."""
    return next((load for load in loads if load.name == name and load.figures), None)


def error_share(loads: Iterable[LoadResult], side: str) -> float | None:
    """Failed operations of all, those left out that were meant to fail and those counted already."""
    counted = [x.figures[side] for x in loads if x.figures and not x.of and x.name != IMPATIENT]
    tried = sum(f.operations + f.errors for f in counted)
    return sum(f.errors for f in counted) / tried if tried else None


def at_least(name: str, figure: float | None, limit: float, unit: str, side: str) -> Verdict:
    """Met from the limit on."""
    return _verdict(name, figure, limit, unit, side, met=figure is not None and figure >= limit)


def at_most(name: str, figure: float | None, limit: float, unit: str, side: str) -> Verdict:
    """Met up to the limit."""
    return _verdict(name, figure, limit, unit, side, met=figure is not None and figure <= limit)


def ratio_above(name: str, load: LoadResult | None, limit: float, side: str) -> Verdict:
    """Met or missed where the whole interval lies on one side of the limit; otherwise the rounds don't tell."""
    ratio = load.ratios.get(side) if load is not None else None
    if ratio is None:
        return _unmeasured(name, limit, "ratio", side, "not_run")
    if ratio.low <= limit <= ratio.high:
        return _unmeasured(name, limit, "ratio", side, "interval", ratio.value)
    return _verdict(name, ratio.value, limit, "ratio", side, met=ratio.low > limit)


def _verdict(name: str, figure: float | None, limit: float, unit: str, side: str, *, met: bool) -> Verdict:
    if figure is None:
        return _unmeasured(name, limit, unit, side, "not_run")
    state = VerdictState.MET if met else VerdictState.MISSED
    return Verdict(name=name, state=state, figure=figure, limit=limit, unit=unit, side=side)


def _unmeasured(name: str, limit: float, unit: str, side: str, reason: str, figure: float | None = None) -> Verdict:
    return Verdict(
        name=name, state=VerdictState.NOT_MEASURED, figure=figure, limit=limit, unit=unit, side=side, reason=reason
    )


def better(load: LoadResult, parts: Iterable[LoadResult], side: str) -> bool | None:
    """Whether a side is faster under a load: True only where neither its writes nor its reads are slower."""
    ratio = load.ratios.get(side)
    found = ratio.better if ratio is not None else None
    worse = any((r := part.ratios.get(side)) is not None and r.better is False for part in parts)
    return None if found and worse else found

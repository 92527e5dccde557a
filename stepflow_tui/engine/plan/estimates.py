"""How long a plan may take: a range, from rates measured on small and large machines. Never a promise."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow_tui.engine.model.plan import Plan

START_SECONDS = (3.0, 10.0)
"""Checks, engine, worker processes, the statements of a few dozen tables."""
ROW_MICROSECONDS = (4.0, 16.0)
"""Copy, keys and verification of one row: the fast end was seen on an idle machine, the slow end on a busy one with two cores."""
MEGABYTE_SECONDS = (0.02, 0.12)
"""Backup, its test, copy and verification of a megabyte of values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Rows, bytes of values, and a range of seconds for the whole run."""

    rows: int
    bytes: int
    low_seconds: float
    high_seconds: float


def estimate(plan: Plan) -> Estimate:
    """The estimate for a plan, from what its census counted."""
    facts = plan.facts.values()
    rows = sum(f.rows for f in facts)
    size = sum(f.rows * sum(c.mean_bytes for c in f.columns.values()) for f in facts)
    low, high = (
        start + rows * row / 1e6 + size / 1e6 * megabyte
        for start, row, megabyte in zip(START_SECONDS, ROW_MICROSECONDS, MEGABYTE_SECONDS, strict=True)
    )
    return Estimate(rows=rows, bytes=int(size), low_seconds=low, high_seconds=high)

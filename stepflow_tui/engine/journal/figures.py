"""What services showed last, told as what it is: of the present while an engine works, of its time afterwards."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from stepflow_tui.engine.journal.queries import EngineSign, RunQueries
from stepflow_tui.engine.model.times import iso_utc

PRESENT = frozenset({"lag"})
"""Gauges that say nothing once nobody looks."""
DATED = frozenset({"wal", "switch", "live", "availability", "application"})
"""Gauges that stay worth knowing with the time they are of. `window` is no figure: it has times of its own."""
MOMENTARY: Mapping[str, tuple[str, ...]] = {
    "wal": ("pinned_by", "users", "writer", "rate", "transactions", "write_busy"),
    "switch": ("soak_left_seconds", "cool_down_left_seconds"),
    "live": ("rows_per_second",),
    "availability": ("now",),
}
"""Their values that say nothing once nobody looks."""


def figures_of(reader: RunQueries, engine: EngineSign) -> dict[str, dict[str, Any] | None]:
    """The gauges by name. Without an engine those that stay have `as_of`, and what was true for a moment only is null."""
    gauges: dict[str, dict[str, Any] | None] = {**reader.gauges()}
    if engine.alive:
        return gauges
    times = reader.gauge_times()
    return {name: data and _of_its_time(name, data, times.get(name)) for name, data in gauges.items()}


def _of_its_time(name: str, data: dict[str, Any], at_ms: int | None) -> dict[str, Any] | None:
    if name in PRESENT:
        return None
    if name not in DATED:
        return data
    gone = {key: None for key in MOMENTARY.get(name, ()) if key in data}
    return {**data, **gone, "as_of": None if at_ms is None else iso_utc(at_ms)}


def until_ms(engine: EngineSign) -> int | None:
    """Until when work that has not ended went on: now, or the last heartbeat; None where that was before this boot."""
    now = time.time_ns() // 1_000_000
    if engine.alive:
        return now
    return None if engine.heartbeat_seconds is None else now - round(engine.heartbeat_seconds * 1000)

"""Alert rules of live runs: gauges in, alerts out. No clock, no disk, no journal.

What is normal for a moment is an alert only after a while; `remember` keeps since when, the watch brings the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stepflow_tui.engine.alerts.lasting import Lasting, Since, number, program_of
from stepflow_tui.engine.model.alert import Alert, AlertSeverity
from stepflow_tui.engine.model.live import Owner

LAG_SECONDS = 60.0
LAG_CHANGES = 100_000
"""Behind that far, in time or in changes, and not catching up: the target is no place to read from, or to move to."""
HELD_SECONDS = 60.0
"""How long lag and a large log must last before anybody is told."""
LOG_NEARLY_FULL = 0.8
WAL_BYTES = 256 * 1024 * 1024
PINNED_SECONDS = 60.0
PINNED_FRAMES = 1_000
"""SQLite's own checkpoint begins at that many; a reader that holds back fewer does no harm."""
STALE_SECONDS = 600.0
"""A verifier that has compared nothing for so long proves nothing any more."""

_NAMED = 3
"""Rows an alert names."""

LIVE_WATCHED = (
    "lag_high", "log_nearly_full", "log_over_budget", "log_full", "wal_large", "wal_pinned", "rows_differ", "rows_quarantined",
    "switch_rolled_back", "capture_broken", "way_back_blocked", "way_back_broken", "return_log_large",
    "verifier_stale",
)  # fmt: skip
"""Codes the watch resolves by itself when their rule is silent again."""

Gauge = Mapping[str, Any]
_NONE: Gauge = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFacts:
    """What the watch saw: the gauges of these names, {} where there is none (yet, or any more).

    `capture_broken`: changes are not being recorded. `working`: the run is not paused, so things should move.
    """

    lag: Gauge = field(default_factory=dict)
    wal: Gauge = field(default_factory=dict)
    switch: Gauge = field(default_factory=dict)
    live: Gauge = field(default_factory=dict)
    capture_broken: bool = False
    working: bool = True

    @property
    def verifier(self) -> Gauge:
        """The verifier's part of `live`."""
        return self.live.get("verifier") or _NONE


def remember(facts: LiveFacts, before: Lasting, now: float) -> dict[str, Since]:
    """What lasts now: kept since it began, begun now, or forgotten.

    Args:
        before: what this function returned the last time.
        now: monotonic seconds.
    """
    found: dict[str, Since] = {}
    if _behind(facts.lag):
        found["lag"] = before.get("lag") or Since(at=now, value=number(facts.lag.get("changes")))
    if number(facts.wal.get("bytes")) >= WAL_BYTES:
        found["wal"] = before.get("wal") or Since(at=now)
    if (compared := _compared(facts)) is not None:
        known = before.get("verifier")
        found["verifier"] = known if known is not None and known.value == compared else Since(at=now, value=compared)
    return found


def live_rules(facts: LiveFacts, lasting: Lasting, now: float, standing: frozenset[str] = frozenset()) -> list[Alert]:
    """All alerts these facts call for.

    Args:
        lasting: by `remember`, of the same look.
        now: monotonic seconds.
        standing: codes of open alerts: one about lag stays until the lag is gone, not until it shrinks for a moment.
    """
    return [
        *_lag(facts, lasting.get("lag"), now, "lag_high" in standing),
        *_log(facts.live),
        *_wal(facts.wal, lasting.get("wal"), now),
        *_proof(facts, lasting.get("verifier"), now),
        *_grave(facts),
        *_return_log(facts.live),
    ]


def _behind(lag: Gauge) -> bool:
    return number(lag.get("seconds")) >= LAG_SECONDS or number(lag.get("changes")) >= LAG_CHANGES


def _compared(facts: LiveFacts) -> tuple[Any, ...] | None:
    """How far the verifier is; None while it has nothing to do: paused, or PostgreSQL owns the writes."""
    if not facts.verifier or not facts.working or facts.live.get("owner") == Owner.POSTGRESQL.value:
        return None
    return tuple(facts.verifier.get(key) for key in ("passes", "table", "done", "clean_w"))


def _lag(facts: LiveFacts, since: Since | None, now: float, standing: bool) -> Iterator[Alert]:
    if since is None:
        return
    changes = number(facts.lag.get("changes"))
    growing = now - since.at >= HELD_SECONDS and changes >= since.value
    if standing or growing:
        yield Alert(code="lag_high", params={"changes": int(changes), "seconds": number(facts.lag.get("seconds"))})


def _log(live: Gauge) -> Iterator[Alert]:
    size, budget = number(live.get("log_bytes")), number(live.get("log_budget"))
    if not budget or size < LOG_NEARLY_FULL * budget:
        return
    params: dict[str, Any] = {"bytes": int(size), "budget": int(budget)}
    if live.get("capture_out"):
        yield Alert(code="log_full", severity=AlertSeverity.CRITICAL, params=params)
    elif live.get("owner") == Owner.POSTGRESQL.value:
        return  # nobody writes to the file any more
    elif size >= budget:
        yield Alert(code="log_over_budget", severity=AlertSeverity.CRITICAL, params=params)
    else:
        yield Alert(code="log_nearly_full", severity=AlertSeverity.WARNING, params=params)


def _wal(wal: Gauge, since: Since | None, now: float) -> Iterator[Alert]:
    left = number(wal.get("frames")) - number(wal.get("checkpointed"))
    if since is not None and now - since.at >= HELD_SECONDS:
        yield Alert(code="wal_large", params={"bytes": int(number(wal.get("bytes"))), "frames": int(left)})
    for pin in wal.get("pinned_by") or ():
        if number(pin.get("age_seconds")) >= PINNED_SECONDS and left >= PINNED_FRAMES:
            yield _pinned(pin, int(left))


def _pinned(pin: Gauge, frames: int) -> Alert:
    seconds = round(number(pin.get("age_seconds")))
    return Alert(
        code="wal_pinned",
        key=str(pin["pid"]),
        params={
            "pid": int(pin["pid"]),
            "program": program_of(pin.get("command")),
            "seconds": seconds,
            "frames": frames,
        },
    )


def _proof(facts: LiveFacts, since: Since | None, now: float) -> Iterator[Alert]:
    differing = int(number(facts.verifier.get("differing")))
    if differing:
        yield Alert(code="rows_differ", severity=AlertSeverity.CRITICAL, params={"count": differing})
    poison = int(number(facts.live.get("poison")))
    if poison:
        first = _first(facts.live.get("set_aside") or _NONE)
        yield Alert(code="rows_quarantined", severity=AlertSeverity.CRITICAL, params={"count": poison, "first": first})
    if since is not None and now - since.at >= STALE_SECONDS:
        yield Alert(code="verifier_stale", params={"minutes": int((now - since.at) // 60)})


def _first(set_aside: Gauge) -> str:
    """The first few rows that were set aside, with their reasons."""
    return "; ".join(map(_set_aside, (set_aside.get("rows") or ())[:_NAMED]))


def _set_aside(row: Gauge) -> str:
    key = ", ".join(f"{name}={value}" for name, value in row["key"].items())
    column = f", {row['column']}" if row["column"] else ""
    return f"{row['table']} {key}{column}: {row['reason']}"


def _grave(facts: LiveFacts) -> Iterator[Alert]:
    critical = AlertSeverity.CRITICAL
    if facts.capture_broken:
        yield Alert(code="capture_broken", severity=critical)
    if facts.switch.get("rolled_back"):
        yield Alert(code="switch_rolled_back", severity=critical)
    back = facts.live.get("back") or _NONE
    params = back.get("params") or _NONE
    if back.get("code") != "blocked":
        return
    if params.get("reason"):
        yield Alert(code="way_back_broken", severity=critical, params={"reason": str(params["reason"])})
    if (rows := int(number(params.get("rows")))) or not params.get("reason"):
        yield Alert(code="way_back_blocked", severity=critical, params={"count": rows})


def _return_log(live: Gauge) -> Iterator[Alert]:
    """The log of the way back only grows while nothing is brought over."""
    log = live.get("return_log") or _NONE
    size, budget = number(log.get("bytes")), number(log.get("budget"))
    if live.get("owner") == Owner.POSTGRESQL.value and budget and size >= LOG_NEARLY_FULL * budget:
        yield Alert(code="return_log_large", params={"bytes": int(size), "budget": int(budget)})

"""Whether an engine that should be working is there. Pure: asked by status, by front ends, and by the next engine."""

from __future__ import annotations

from stepflow_tui.engine.model.alert import Alert, AlertSeverity
from stepflow_tui.engine.model.state import UNFINISHED, RunState

LOST_SECONDS = 5.0
"""A heartbeat every second that stood still this long: the engine is stopped or hangs."""

WORKING = frozenset({RunState.RUNNING, RunState.PAUSING, RunState.PAUSED, RunState.OBSERVING, RunState.ROLLING_BACK})
"""States in which an engine is at work, as long as no result is written."""


def unattended(state: RunState, *, alive: bool, captures: bool) -> Alert | None:
    """The alert about a run that stands still while changes go on being captured, None for any other.

    Args:
        state: of the run.
        alive: an engine holds the run's lock.
        captures: capture is installed, on whichever side takes writes.
    """
    if alive or not captures or state not in UNFINISHED:
        return None
    return Alert(code="capture_unattended", severity=AlertSeverity.WARNING, params={})


def engine_lost(state: RunState, result: str | None, *, alive: bool, heartbeat_seconds: float | None) -> Alert | None:
    """The alert about an engine that is gone or hangs, None when all is well.

    Args:
        state, result: of the run; a result means that its engine ended by itself.
        alive: an engine holds the run's lock.
        heartbeat_seconds: age of its last heartbeat, None when unknown.
    """
    if state not in WORKING or result is not None:
        return None
    if not alive:
        return Alert(code="engine_lost", severity=AlertSeverity.CRITICAL, params={"cause": "gone"})
    if heartbeat_seconds is not None and heartbeat_seconds > LOST_SECONDS:
        seconds = int(heartbeat_seconds)
        return Alert(
            code="engine_lost", severity=AlertSeverity.CRITICAL, params={"cause": "not responding", "seconds": seconds}
        )
    return None

"""Snapshots of a run that converts a database where it stands, with gauges made by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from stepflow_tui.bridge import Snapshot
from tests.tui.kit import NOW, snapshot
from tests.tui.run_states import CHECKLIST

PHASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("prepare", ("preflight", "backup", "plan")),
    ("validate", ("rehearse", "benchmark")),
    ("cutover", ("convert", "tune")),
    ("observe", ("prove", "watch")),
    ("complete", ("settle-checklist",)),
)
"""Phases and steps like those of a conversion in place."""

NOW_MS = round(NOW.timestamp() * 1000)
MIB = 1 << 20
LIMITS = {"bytes": 100 * MIB, "starvation": 60.0}
CALM = {
    "mode": "wal",
    "bytes": 4_148_872,
    "frames": 751,
    "checkpointed": 0,
    "pinned_by": [],
    "page_size": 4096,
    "users": None,
    "rate": 1_921.2,
    "transactions": 1_745.9,
    "checkpoint": {"at_ms": NOW_MS - 4_000, "complete": True, "frames": 1_003, "checkpointed": 1_003},
    "write_busy": 0.278,
    "busy_in_a_row": 2,
    "writer": {"pid": 5151, "command": "python orders.py --port 8000"},
    "checkpointer": None,
    "limits": LIMITS,
    "expected": True,
}
"""As the watch shows it."""
STARVED = CALM | {
    "bytes": 41_234_432,
    "frames": 10_008,
    "checkpointed": 151,
    "pinned_by": [{"pid": 4242, "age_seconds": 93.0, "command": "python report.py"}],
    "checkpoint": {"at_ms": NOW_MS - 90_000, "complete": False, "frames": 751, "checkpointed": 151},
}
ROLLBACK = CALM | {
    "mode": "rollback",
    "bytes": 0,
    "frames": 0,
    "users": [
        {"pid": 5151, "command": "python orders.py --port 8000", "what": "waiting to write"},
        {"pid": 4242, "command": "python report.py", "what": "reading"},
        {"pid": 0, "command": None, "what": "open"},
    ],
    "rate": None,
    "transactions": 543.8,
    "checkpoint": None,
    "write_busy": 0.733,
    "busy_in_a_row": 0,
    "expected": None,
}


def in_place(step: str = "watch", state: str = "running", **more: Any) -> Snapshot:
    """A run in place that is at `step`."""
    phases, reached = [], False
    for phase, names in PHASES:
        steps = []
        for name in names:
            reached = reached or name == step
            at = "running" if name == step else "pending" if reached else "done"
            steps.append({"name": name, "title": name, "state": at, "seconds": None, "progress": None})
        states = {s["state"] for s in steps}
        shown = "done" if states == {"done"} else "running" if "running" in states else "pending"
        phases.append({"name": phase, "state": shown, "steps": steps})
    at_phase = next(phase for phase, names in PHASES if step in names)
    told = {"kind": "sqlite-wal", "checklist": CHECKLIST, "progress": None, "tables": [], "wal": CALM}
    made = snapshot(state=state, **{**told, **more})
    return replace(made, status={**made.status, "phases": phases, "phase": at_phase, "step": step})


def watching(**more: Any) -> Snapshot:
    return in_place(**more)


def starved(**more: Any) -> Snapshot:
    alert = {
        "code": "wal_starved",
        "severity": "warning",
        "since": "2026-11-22T12:03:58.000Z",
        "acknowledged": False,
        "params": {"pid": 4242, "program": "python report.py", "seconds": 61, "frames": 9_857},
    }
    return in_place(**{"wal": STARVED, "alerts": [alert], **more})


def before(**more: Any) -> Snapshot:
    return in_place("rehearse", wal=ROLLBACK, **more)


def lost(**more: Any) -> Snapshot:
    return in_place(wal=ROLLBACK | {"expected": True}, **more)


STATES: Mapping[str, Callable[..., Snapshot]] = {
    "watching": watching,
    "starved": starved,
    "before": before,
    "lost": lost,
}

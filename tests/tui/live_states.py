"""Snapshots of a live run, from the first changes caught up to the observation, with gauges made by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from stepflow_tui.bridge import Snapshot
from tests.tui.kit import snapshot
from tests.tui.run_states import CHECKLIST, LOST

PHASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("prepare", ("preflight", "backup", "census", "plan")),
    ("capture", ("install-capture",)),
    ("backfill", ("claim-target", "create-tables", "snapshot", "copy", "build-keys")),
    ("validate", ("catch-up", "prove", "drop-snapshot")),
    ("switch_reads", ("switch-reads",)),
    ("cutover", ("rehearse", "cut-over", "settle-keys")),
    ("observe", ("observe",)),
    ("cleanup", ("clean-up",)),
    ("complete", ("release-target",)),
)
"""Phases and steps like those of a live run."""

WAL = {
    "mode": "wal",
    "bytes": 41_234_432,
    "frames": 10_008,
    "checkpointed": 9_500,
    "pinned_by": [{"pid": 4242, "age_seconds": 93.0, "command": "python shop.py"}],
}
LAG = {"changes": 1_204, "seconds": 1.1}
VERIFIER = {
    "passes": 3,
    "table": "orders",
    "done": 5_000,
    "total": 60_000,
    "clean_at": "2026-11-22T12:03:40.000Z",
    "clean_w": 99_000,
    "differing": 0,
}
LIVE = {
    "applied": 100_000,
    "log_max": 101_204,
    "rows_per_second": 812.0,
    "poison": 0,
    "log_rows": 101_204,
    "log_bytes": 4_194_304,
    "verifier": VERIFIER,
    "freeze_seconds": 0.31,
    "owner": "sqlite",
    "back": {"code": "reads_only", "params": {}, "seconds": 12.0},
}
SWITCH = {
    "strategy": "gradual",
    "stage": 2,
    "stages": [1, 5, 25, 50, 100],
    "percentage": 25,
    "version": 7,
    "owner": "sqlite",
    "soak_left_seconds": 0,
    "old": {"requests": 37_201, "errors": 12, "p50_ms": 1.2, "p95_ms": 4.1},
    "new": {"requests": 12_400, "errors": 3, "p50_ms": 1.1, "p95_ms": 3.8},
    "mismatches": 0,
    "shadow_reads": 12_400,
    "rolled_back": None,
    "verdict": "healthy",
}
GATE = {
    "phase": "cutover",
    "state": "open",
    "questions": [{"kind": "typed", "id": "cutover.cut-over", "params": {"step": "cut-over", "loses": "nothing"}}],
}
REHEARSAL = {
    "freeze_seconds": 0.42,
    "guards": [
        {"code": "verified", "ok": True, "params": {}},
        {"code": "reads", "ok": True, "params": {}},
        {"code": "hooks", "ok": False, "params": {}},
    ],
}


def live(step: str, state: str = "running", **more: Any) -> Snapshot:
    """A live run that is at `step`."""
    phases, reached = [], False
    for phase, names in PHASES:
        steps = []
        for name in names:
            now = name == step
            reached = reached or now
            at = "running" if now and state in ("running", "observing") else "pending" if reached else "done"
            danger = "typed" if name in ("cut-over", "clean-up") else "none"
            steps.append(
                {"name": name, "title": name, "state": at, "seconds": None, "progress": None, "danger": danger}
            )
        states = {s["state"] for s in steps}
        shown = "done" if states == {"done"} else "running" if "running" in states else "pending"
        phases.append({"name": phase, "state": shown, "steps": steps})
    at_phase = next(phase for phase, names in PHASES if step in names)
    gauges = {"lag": LAG, "wal": WAL, "switch": SWITCH, "live": LIVE}
    made = snapshot(state=state, **{"checklist": CHECKLIST, "progress": None, **gauges, **more})
    return replace(made, status={**made.status, "phases": phases, "phase": at_phase, "step": step})


def catching_up(**more: Any) -> Snapshot:
    progress = {
        "done": 63_100, "total": 100_000, "unit": "changes", "rate_per_second": 12_240.0, "eta_seconds": 3.0,
        "eta_state": "steady", "throttle": "",
    }  # fmt: skip
    return live("catch-up", **{"switch": None, "progress": progress, **more})


def switching(**more: Any) -> Snapshot:
    return live("switch-reads", **more)


def soaking(**more: Any) -> Snapshot:
    return switching(switch={**SWITCH, "soak_left_seconds": 250}, **more)


def moved_back(**more: Any) -> Snapshot:
    back = {"signal": "p95", "params": {"new": 812.3, "limit": 500}}
    return switching(switch={**SWITCH, "percentage": 0, "rolled_back": back, "verdict": None}, **more)


def differing(**more: Any) -> Snapshot:
    return switching(live={**LIVE, "verifier": {**VERIFIER, "differing": 3}}, **more)


def at_cutover(**more: Any) -> Snapshot:
    whole = {**SWITCH, "percentage": 100, "stage": 4}
    return live("rehearse", "waiting", **{"gate": GATE, "switch": whole, "lag": {"changes": 0, "seconds": 0.0}, **more})


def rehearsed(**more: Any) -> Snapshot:
    return at_cutover(live={**LIVE, "rehearsal": REHEARSAL}, **more)


def observing(**more: Any) -> Snapshot:
    back = {"code": "drained_first", "params": {"changes": 1_204}, "seconds": 21.0}
    whole = {**SWITCH, "percentage": 100, "stage": 4, "owner": "postgresql"}
    given = {"switch": whole, "live": {**LIVE, "owner": "postgresql", "back": back}}
    return live("observe", "observing", **{**given, **more})


def blocked(**more: Any) -> Snapshot:
    back = {"code": "blocked", "params": {"rows": 2}, "seconds": 21.0}
    return observing(live={**LIVE, "owner": "postgresql", "back": back, "blockers": 2, "poison": 1}, **more)


def suspended(**more: Any) -> Snapshot:
    """As the engine tells it when the new side falls behind, its newest round failed and nobody can see readers."""
    verdict = {"code": "inconclusive", "params": {"count": 7, "wanted": 120}}
    switch = {**SWITCH, "suspended": True, "trouble": "target_lost", "cool_down_left_seconds": 61.0, "verdict": verdict}
    return switching(switch=switch, wal={**WAL, "pinned_by": None}, **more)


def cleaned(**more: Any) -> Snapshot:
    """Completed: its last gauges are still there, and nothing keeps them true any more."""
    ended = observing()
    phases = [
        {**p, "state": "done", "steps": [{**s, "state": "done"} for s in p["steps"]]} for p in ended.status["phases"]
    ]
    told = {"phases": phases, "state": "completed", "result": "completed", "exit_code": 0, "tables": []}
    return replace(ended, status={**ended.status, **told, "rollback": {"possible": False, "loses": []}, **more})


def lost(**more: Any) -> Snapshot:
    return switching(alerts=[LOST], engine={"pid": None, "alive": False, "heartbeat_seconds": None}, **more)


STATES: Mapping[str, Callable[..., Snapshot]] = {
    "catching-up": catching_up,
    "switching": switching,
    "soaking": soaking,
    "moved-back": moved_back,
    "suspended": suspended,
    "differing": differing,
    "at-cutover": at_cutover,
    "rehearsed": rehearsed,
    "observing": observing,
    "blocked": blocked,
    "cleaned": cleaned,
}

"""Statuses and snapshots of runs, made by hand, and an app to show them in with a clock that stands still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stepflow_tui.app import StepFlowApp
from stepflow_tui.bridge import Snapshot, WizardOptions
from stepflow_tui.facade import facade

NOW = datetime(2026, 11, 22, 12, 4, 31, tzinfo=UTC)
RUN = "shop-20261122t112107-7f3a"
SIZES = {"80x24": (80, 24), "120x40": (120, 40)}

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("prepare", ("preflight", "backup", "census", "plan")),
    ("backfill", ("claim-target", "create-tables", "copy", "build-keys", "foreign-keys")),
    ("validate", ("verify",)),
    ("complete", ("release",)),
)
"""Phases and steps like those of a copy."""


def status(step: str = "copy", state: str = "running", **more: Any) -> dict[str, Any]:
    """The status of a run that is at `step`."""
    phases, reached = [], False
    for phase, names in STEPS:
        steps = []
        for name in names:
            now = name == step
            reached = reached or now
            step_state = "running" if now and state == "running" else "pending" if reached else "done"
            steps.append(
                {
                    "name": name,
                    "title": name,
                    "state": step_state,
                    "seconds": None if reached and not now else 4.2,
                    "progress": None,
                }
            )
        phases.append({"name": phase, "state": _phase_state(steps), "steps": steps})
    progress = {
        "done": 63_100,
        "total": 100_000,
        "unit": "rows",
        "rate_per_second": 12_240.0,
        "eta_seconds": 3.0,
        "eta_state": "steady",
        "throttle": "",
    }
    made: dict[str, Any] = {
        "run": RUN,
        "name": "shop",
        "kind": "sqlite-to-postgres",
        "environment": "staging",
        "state": state,
        "result": None,
        "exit_code": None,
        "phase": next((p["name"] for p in phases if p["state"] == "running"), "backfill"),
        "step": step,
        "engine": {"pid": 4711, "alive": True, "heartbeat_seconds": 0.2},
        "phases": phases,
        "progress": progress,
        "tables": [
            {
                "source": "orders",
                "target": "public.orders",
                "source_rows": 60_000,
                "target_rows": None,
                "diff": None,
                "state": "copying",
            },
            {
                "source": "customer",
                "target": "public.customer",
                "source_rows": 40_000,
                "target_rows": 40_000,
                "diff": 0,
                "state": "equal",
            },
        ],
        "lag": None,
        "wal": None,
        "switch": None,
        "alerts": [],
        "gate": None,
        "control": {"holder": None, "seconds_left": None, "asked_by": None},
        "observers": 1,
        "rollback": {"possible": True, "loses": []},
    }
    return made | more


def _phase_state(steps: Sequence[Mapping[str, Any]]) -> str:
    states = {s["state"] for s in steps}
    if states == {"done"}:
        return "done"
    return "running" if "running" in states or "done" in states else "pending"


def snapshot(
    step: str = "copy", state: str = "running", events: Sequence[Mapping[str, Any]] = (), **more: Any
) -> Snapshot:
    """A snapshot with that status."""
    return Snapshot(
        run=RUN, path=Path("/runs") / RUN, status=status(step, state, **more), events=tuple(events), now=NOW
    )


def options(state: Path, **more: Any) -> WizardOptions:
    """Options with a clock that stands still."""
    return replace(WizardOptions(state=state, folder=state, now=lambda: NOW), **more)


def wizard(state: Path, **more: Any) -> StepFlowApp:
    """The app over an empty state directory, or whatever is in it."""
    app = StepFlowApp(facade(), options(state, **more))
    app.NOTIFICATION_TIMEOUT = 3600.0  # what was said is there to be asserted, however slow the machine
    return app


def drawn(app: StepFlowApp) -> None:
    """The terminal says that it has drawn the dialog: from now on keys count."""
    app.hear()
    app.deaf_until = 0.0

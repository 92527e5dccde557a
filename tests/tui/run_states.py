"""Snapshots of a run in every state the run screen has something of its own to say about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from textual.pilot import Pilot

from screens.run import RunScreen
from stepflow_tui.app import StepFlowApp
from stepflow_tui.bridge import Snapshot
from tests.tui.kit import RUN, snapshot

CHECKLIST: tuple[dict[str, Any], ...] = tuple(
    {
        "id": name,
        "title": title,
        "phase": when,
        "before": before,
        "kind": kind,
        "state": state,
        "by": by,
        "at": "2026-11-22T11:58:02.000Z" if by else None,
        "note": "mail of 21 November" if by == "anna" else "",
    }
    for name, title, when, before, kind, state, by in (
        ("backup-config", "Configuration and code backed up", "before", "backfill", "manual", "ticked", "anna"),
        ("teams-told", "Teams concerned told", "before", "backfill", "manual", "accepted", "--yes"),
        ("functions-tested", "Key functions tested", "during", "complete", "manual", "open", None),
        ("users-work", "Users can work; trained", "after", "", "manual", "open", None),
        ("disk-space", "Room for backup, target, log and WAL", "before", "backfill", "auto", "ticked", "check"),
        ("data-equal", "All data there, 100 % equal", "after", "", "auto", "open", None),
        ("rollback-reason", "Reason confirmed", "rollback_before", "", "manual", "open", None),
    )
)

QUESTIONS: tuple[dict[str, Any], ...] = (
    {"kind": "warning", "id": "a", "params": {"code": "mixed_types", "object": "orders.total"}},
    {"kind": "warning", "id": "b", "params": {"code": "mixed_types", "object": "orders.tax"}},
    {
        "kind": "object",
        "id": "view|v_sales",
        "params": {"type": "view", "name": "v_sales", "reason": "it calls a function that PostgreSQL does not have"},
    },
    {"kind": "plan", "id": "abc", "params": {"hash": "abc"}},
    {"kind": "item", "id": "teams-told", "params": {"kind": "manual", "state": "open"}},
)

THROTTLED = {
    "code": "throttled",
    "severity": "warning",
    "since": "2026-11-22T12:03:58.000Z",
    "acknowledged": False,
    "params": {"reason": "target_active"},
}
LOST = {
    "code": "engine_lost",
    "severity": "critical",
    "since": None,
    "acknowledged": False,
    "params": {"cause": "not responding", "seconds": 17},
}
ERROR = {
    "event": "error",
    "seq": 41,
    "time": "2026-11-22T12:04:02.000Z",
    "run": RUN,
    "code": "disk_full",
    "message": "No room is left on the disk of the target.",
    "detail": "could not extend file base/16384/2619",
    "hint": "Make room, then start the run again: it goes on from its last checkpoint.",
    "exit_code": 1,
}


def with_steps(shown: Snapshot, **states: str) -> Snapshot:
    """The snapshot with other states of steps, by name (`_` for `-`)."""
    wanted = {name.replace("_", "-"): state for name, state in states.items()}
    phases = []
    for phase in shown.status["phases"]:
        steps = [{**s, "state": wanted.get(s["name"], wanted.get("all", s["state"]))} for s in phase["steps"]]
        done = all(s["state"] in ("done", "undone") for s in steps)
        phases.append({**phase, "steps": steps, "state": steps[0]["state"] if done else phase["state"]})
    return replace(shown, status={**shown.status, "phases": phases})


def running(**more: Any) -> Snapshot:
    return snapshot(**{"alerts": [THROTTLED], "checklist": CHECKLIST, "observers": 3, **more})


def slowed(**more: Any) -> Snapshot:
    shown = running(**more)
    progress = {**shown.status["progress"], "throttle": "target_active", "eta_state": "measuring", "eta_seconds": None}
    return replace(shown, status={**shown.status, "progress": progress})


def pending(**more: Any) -> Snapshot:
    nothing = {"phases": [], "phase": None, "step": None, "progress": None, "tables": [], "kind": None}
    no_engine = {"engine": {"pid": None, "alive": False, "heartbeat_seconds": None}}
    shown = snapshot(state="pending", environment=None, **no_engine)
    return replace(shown, status={**shown.status, **nothing, **more})


def waiting(**more: Any) -> Snapshot:
    gate = {"phase": "backfill", "state": "open", "questions": QUESTIONS}
    items = [{**i, "state": "open"} if i["kind"] == "manual" else i for i in CHECKLIST]
    return snapshot("claim-target", "waiting", **{"gate": gate, "checklist": items, "progress": None, **more})


def paused(**more: Any) -> Snapshot:
    return with_steps(snapshot(state="paused", **{"checklist": CHECKLIST, **more}), copy="running")


def failed(**more: Any) -> Snapshot:
    return with_steps(snapshot(state="failed", events=[ERROR], **{"checklist": CHECKLIST, **more}), copy="failed")


def _ended(state: str, **more: Any) -> Snapshot:
    return with_steps(snapshot("release", state, **{"checklist": CHECKLIST, "progress": None, **more}), all="done")


def _table(name: str, source: int, target: int, state: str = "verified") -> dict[str, Any]:
    return {
        "source": name,
        "target": f"public.{name}",
        "source_rows": source,
        "target_rows": target,
        "diff": target - source,
        "state": state,
        "verified": "equal" if source == target else "different",
    }


def completed(**more: Any) -> Snapshot:
    tables = [_table("orders", 60_000, 60_000), _table("customer", 40_000, 40_000)]
    return _ended("completed", **{"tables": tables, "result": "completed", "exit_code": 0, **more})


def incomplete(**more: Any) -> Snapshot:
    tables = [_table("orders", 60_000, 59_997), _table("customer", 40_000, 40_000), _table("draft", 9, 10)]
    return _ended("incomplete", **{"tables": tables, "result": "incomplete", "exit_code": 5, **more})


def rolled_back(**more: Any) -> Snapshot:
    nothing = {"rollback": {"possible": False, "loses": []}, "checklist": CHECKLIST, "progress": None, "tables": []}
    return with_steps(snapshot("preflight", "rolled_back", **{**nothing, **more}), all="undone")


def aborted(**more: Any) -> Snapshot:
    return snapshot(state="aborted", **{"checklist": CHECKLIST, **more})


def engine_lost(**more: Any) -> Snapshot:
    return snapshot(**{"alerts": [THROTTLED, LOST], "control": {"holder": "anna@db1 at pts/3"}, **more})


def production(**more: Any) -> Snapshot:
    return running(environment="production", control={"holder": "anna@db1 at pts/3", "seconds_left": 41}, **more)


def switching(**more: Any) -> Snapshot:
    wal = {
        "mode": "wal",
        "bytes": 41_234_432,
        "frames": 10_008,
        "checkpointed": 9_500,
        "pinned_by": [{"pid": 4242, "age_seconds": 93.0}],
    }
    switch = {"strategy": "gradual", "stage": "switch_reads", "percentage": 25, "version": 3}
    return running(wal=wal, switch=switch, lag={"changes": 1_204, "seconds": 1.1}, **more)


STATES: Mapping[str, Callable[..., Snapshot]] = {
    "running": running,
    "slowed": slowed,
    "pending": pending,
    "waiting": waiting,
    "paused": paused,
    "failed": failed,
    "incomplete": incomplete,
    "completed": completed,
    "rolled-back": rolled_back,
    "aborted": aborted,
    "engine-lost": engine_lost,
    "production": production,
    "switching": switching,
}


def hostile(names: Sequence[str]) -> Snapshot:
    """Names that are not ours, wherever a name can stand."""
    name = names[0]
    items = [{**CHECKLIST[2], "id": n, "title": n, "note": n, "by": n} for n in names]
    tables = [_table(n, 5, 4) for n in names]
    alert = {**THROTTLED, "code": name, "params": {"reason": name}}
    shown = snapshot(
        state="incomplete",
        name=name,
        environment=name,
        kind=name,
        tables=tables,
        checklist=items,
        alerts=[alert],
        control={"holder": name},
    )
    phases = [{**p, "steps": [{**s, "title": name} for s in p["steps"]]} for p in shown.status["phases"]]
    return replace(shown, status={**shown.status, "phases": phases})


class OnScreen:
    """A run screen with a state on it."""

    def __init__(self, app: StepFlowApp, screen: RunScreen, pilot: Pilot[Any]) -> None:
        self.app = app
        self.screen = screen
        self.pilot = pilot
        self.sent: list[tuple[str, Mapping[str, Any]]] = []
        self.said: list[str] = []

    @property
    def lines(self) -> list[str]:
        """What the terminal shows, without blanks at the ends."""
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def settle(self) -> None:
        await self.app.workers.wait_for_complete([w for w in self.app.workers if w.group != "watch"])
        for _ in range(3):
            await self.pilot.pause()

    async def show(self, shown: Snapshot) -> None:
        self.app.snapshot = shown
        self.app.events.extend(shown.events)
        self.screen.apply(shown)
        await self.settle()


@asynccontextmanager
async def on_screen(app: StepFlowApp, shown: Snapshot, size: tuple[int, int]) -> AsyncIterator[OnScreen]:
    """The run screen showing that state; intents are kept in `sent`, words to the operator in `said`."""
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        screen = RunScreen()
        app.add_mode("run", lambda: screen)
        await app.switch_mode("run")
        found = OnScreen(app, screen, pilot)
        app.act = lambda verb, args=None, **more: found.sent.append((verb, args or {}))  # type: ignore[method-assign]
        screen.notify = lambda text, **more: found.said.append(text)  # type: ignore[method-assign]
        await found.show(shown)
        yield found

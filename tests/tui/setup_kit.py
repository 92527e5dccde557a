"""What the tests of list, set-up and config screen share: a facade without processes, and ways to type."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from textual.pilot import Pilot
from textual.widgets import Input

import screens
from stepflow_tui.app import StepFlowApp
from stepflow_tui.engine import api
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.finding import blocking
from tests.tui.kit import options

FACTS: dict[str, Any] = {
    "source": "sqlite", "path": "shop.db", "state": "sound", "size": 9_261_056, "wal_bytes": 0, "tables": 37,
    "rows": 74_568, "rows_exact": True, "rows_unknown": 0, "listed": [], "views": 7, "triggers": 36,
    "journal_mode": "delete", "page_size": 4096, "encoding": "UTF-8", "user_version": 0, "application_id": 0,
    "written_by": "3.53.0", "sqlite": "3.53.0", "holders": [{"pid": 812, "command": "python3 app.py"}],
    "holders_known": True, "filesystem": "ext4", "network": False, "free_bytes": 2**36,
}  # fmt: skip
SERVER: dict[str, Any] = {
    "kind": "address", "ok": True, "version": "18.1", "address": "anna@db:5432/shop", "user": "anna", "database": "shop",
    "schema": "public", "schema_exists": True, "tables": 0, "encrypted": True, "latency_ms": 0.7, "findings": [],
}  # fmt: skip
EMBEDDED: dict[str, Any] = {
    "kind": "embedded", "ok": True, "version": "18.1", "running": False, "exists": False, "findings": [],
}  # fmt: skip
FULL = SERVER | {
    "ok": False,
    "tables": 2,
    "findings": [blocking("target_not_empty", "public", count=2, names="a, b", database="shop")],
}


def run_row(name: str, state: str = "completed", **more: Any) -> dict[str, Any]:
    """One run as the list gets it."""
    made: dict[str, Any] = {
        "id": f"{name}-20261122t112107-7f3a", "name": name, "kind": "sqlite-to-postgres", "environment": "staging",
        "state": state, "phase": "backfill", "result": None, "exit_code": None, "created_at": "2026-11-22T11:21:07Z",
        "engine_alive": False, "engine_lost": False, "control": None,
    }  # fmt: skip
    return made | more


@dataclass
class Engine:
    """The real facade, but for what would look at files, servers and processes."""

    runs: Sequence[Mapping[str, Any]] = ()
    facts: Mapping[str, Any] | StepFlowError = field(default_factory=lambda: FACTS)
    target: Mapping[str, Any] | StepFlowError = field(default_factory=lambda: SERVER)
    asked: list[tuple[str, str]] = field(default_factory=list)
    started: list[Any] = field(default_factory=list)
    demos: list[tuple[str, int]] = field(default_factory=list)
    refusal: StepFlowError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(api, name)

    def list_runs(self, _state: Path) -> Sequence[Mapping[str, Any]]:
        if isinstance(self.refusal, StepFlowError):
            raise self.refusal
        return self.runs

    async def survey(self, source: str) -> Mapping[str, Any]:
        self.asked.append(("survey", source))
        if isinstance(self.facts, StepFlowError):
            raise self.facts
        return self.facts

    async def try_target(self, target: str, **_more: Any) -> Mapping[str, Any]:
        self.asked.append(("target", target))
        if isinstance(self.target, StepFlowError):
            raise self.target
        return EMBEDDED if target == "embedded" else self.target

    async def make_demo(self, _state: Path, kind: str, rows: int) -> Path:
        self.demos.append((kind, rows))
        if self.refusal is not None:
            raise self.refusal
        return Path("/demo/stepflow.yaml")


class App(StepFlowApp):
    """The app; a run that is begun is written down, not started."""

    CSS_PATH = Path(screens.__file__).parent / "app.tcss"

    def __init__(self, engine: Engine, folder: Path, **more: Any) -> None:
        more.setdefault("env", {})
        super().__init__(engine, options(Path("/state"), folder=folder, **more))  # type: ignore[arg-type]
        self.begun: list[Path] = []
        self.opened: list[Any] = []

    def begin(self, config: Path, *, new: bool = False) -> None:
        self.begun.append(config)

    def open_run(self, run: Any) -> None:
        self.opened.append(run)


TURNS = 200
"""A key goes from queue to queue, down to the widget and up again; each turn lets every one of them take a step."""


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until every queue is empty and no worker is left: by what is pending, not by time."""
    quiet = 0
    while quiet < 3:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        await pilot.pause(0)
        running = [w for w in pilot.app.workers if not w.is_finished]
        await asyncio.gather(*(w.wait() for w in running), return_exceptions=True)
        guard = cast(StepFlowApp, pilot.app)
        if guard._busy or guard._typed:  # the app takes keys one at a time; one whose widget is gone is waited for
            await asyncio.sleep(0.01)
            quiet = 0
        else:
            quiet = 0 if running else quiet + 1


async def keys(pilot: Pilot[Any], *pressed: str) -> None:
    """Press keys, each after everything has settled."""
    for key in pressed:
        await pilot.press(key)
        await settled(pilot)


async def type_in(pilot: Pilot[Any], text: str) -> None:
    """Type into the focused line, as a terminal would paste it."""
    box = pilot.app.focused
    assert isinstance(box, Input)
    box.insert_text_at_cursor(text)
    await settled(pilot)


def calm(app: StepFlowApp) -> None:
    """No blinking cursor in pictures."""
    for box in app.screen.query(Input):
        box.cursor_blink = False

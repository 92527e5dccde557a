"""A read-only session: every action that changes something is refused, by the table of actions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from screens.config import ConfigScreen
from screens.modals.base import Dialog
from stepflow_tui.actions import ACTIONS, Scope
from stepflow_tui.app import StepFlowApp
from stepflow_tui.engine.journal.rundir import engine_alive
from stepflow_tui.engine.model.state import RunState
from stepflow_tui.facade import facade
from tests.run_kit import Bench, bench, book
from tests.tui.kit import drawn, wizard

ACTING = {scope: [a for a in ACTIONS if a.acts and scope in a.scopes] for scope in Scope}
ANSWERS = ("enter", "right", "enter", "down", "enter", *"shop", "enter")
"""Whatever a dialog asks, one of these would answer it."""


async def settled(pilot: Pilot[Any]) -> None:
    """What was pressed has had its effect."""
    for _ in range(3):
        await pilot.pause()


async def gone_to(pilot: Pilot[Any], app: StepFlowApp, scope: Scope, folder: Path) -> None:
    """Go to the screen of a scope."""
    if scope in (Scope.RUN, Scope.PLAN, Scope.JOURNAL, Scope.REPORT):
        app.open_run(facade().resolve_run(folder / "state", None))
        await app.workers.wait_for_complete([w for w in app.workers if w.group == "open"])
        while app.snapshot is None:
            await pilot.pause(0.01)
        await settled(pilot)
        while isinstance(app.screen, Dialog):  # this run has no engine: it says so
            app.pop_screen()
    keys = {Scope.PLAN: "f2", Scope.JOURNAL: "f4", Scope.REPORT: "e"}
    if scope in keys:
        await pilot.press(keys[scope])
    if scope is Scope.CONFIG:
        app.push_screen(ConfigScreen(folder / "stepflow.yaml"))
    await settled(pilot)


async def tried(pilot: Pilot[Any], app: StepFlowApp, key: str) -> None:
    """Press the key, and try to answer what it opens."""
    await pilot.press(key)
    await settled(pilot)
    for answer in ANSWERS:
        drawn(app)
        await pilot.press(answer)
    await settled(pilot)


@pytest.mark.parametrize("scope", [s for s in Scope if ACTING[s]])
async def test_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: Scope) -> None:
    async with bench(tmp_path, book(("prepare", ()), ("backfill", ()))) as b:
        await b.journal.set_state(RunState.RUNNING)
        await b.journal.set_state(RunState.WAITING)
        app = wizard(tmp_path / "state", read_only=True)
        started = calls(monkeypatch)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            for action in ACTING[scope]:
                await gone_to(pilot, app, scope, tmp_path)
                await tried(pilot, app, action.keys[0])
                assert (await commands(b), started) == ([], []), action.id
        assert not engine_alive(b.ctx.run_dir)


async def test_the_same_keys_act_where_acting_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the test above would notice."""
    async with bench(tmp_path, book(("prepare", ()), ("backfill", ()))) as b:
        await b.journal.set_state(RunState.RUNNING)
        app = wizard(tmp_path / "state")
        started = calls(monkeypatch)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            await gone_to(pilot, app, Scope.RUN, tmp_path)
            await tried(pilot, app, "X")
        assert "abort" in [args[1] for args in started]


def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is asked of the engine from now on, instead of being done."""
    made: list[tuple[Any, ...]] = []

    async def call(*args: Any, **_: Any) -> dict[str, Any]:
        made.append(args)
        return {"state": "done", "answer": {}}

    for name in ("start", "send", "make_demo"):
        monkeypatch.setattr(facade(), name, call)
    return made


async def commands(b: Bench) -> list[dict[str, Any]]:
    """The intents that were sent."""
    return await b.journal.fetch("SELECT * FROM command")

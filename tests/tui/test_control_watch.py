"""An attached wizard renews the control it holds, and tells who asks for it, who took it, and that the engine is lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.pilot import Pilot

from screens.modals.alerts import AlertsDialog
from screens.modals.control import ControlDialog
from screens.modals.engine_lost import EngineLost
from screens.modals.note import NoteDialog
from stepflow_tui.app import StepFlowApp
from stepflow_tui.bridge import Snapshot, SnapshotArrived
from tests.tui.kit import RUN, snapshot, wizard

ME, OTHER = "ann at pts/1", "bob at pts/2"
LOST = {
    "code": "engine_lost",
    "severity": "critical",
    "since": None,
    "acknowledged": False,
    "params": {"cause": "gone"},
}


class Line:
    """A bridge that remembers what was sent."""

    run = SimpleNamespace(id=RUN)
    who = ME

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, verb: str, _args: Mapping[str, Any], *, take_control: bool = False) -> Mapping[str, Any]:
        """Every intent is accepted."""
        self.sent.append(verb)
        return {"state": "done", "answer": {}}

    def close(self) -> None:
        """Nothing to close."""


def held(holder: str | None, seconds: int | None = 60, asked_by: str | None = None, **more: Any) -> Snapshot:
    """A run under control."""
    return snapshot(control={"holder": holder, "seconds_left": seconds, "asked_by": asked_by}, **more)


async def seen(pilot: Pilot[Any], app: StepFlowApp, *snapshots: Snapshot) -> list[str]:
    """Let the app see these states; the texts of its toasts."""
    for shot in snapshots:
        app.post_message(SnapshotArrived(shot))
        for _ in range(3):
            await pilot.pause()
    return [toast.message for toast in app._notifications]


def at_a_run(folder: Path, **more: Any) -> tuple[StepFlowApp, Line]:
    """A wizard that watches a run."""
    app, line = wizard(folder, **more), Line()
    app.bridge = line  # type: ignore[assignment]  # as much of a bridge as is needed
    return app, line


@pytest.mark.parametrize(("shot", "more", "sent"), [
    (held(ME, 41), {}, []),
    (held(ME, 40), {}, ["hold"]),
    (held(OTHER, 5), {}, []),
    (held(None, None), {}, []),
    (held(ME, 5), {"read_only": True}, []),
    (held(ME, 5, engine={"pid": None, "alive": False, "heartbeat_seconds": 1.0}), {}, []),
])  # fmt: skip
async def test_control_is_renewed_while_it_is_held(
    tmp_path: Path, shot: Snapshot, more: dict[str, Any], sent: list[str]
) -> None:
    app, line = at_a_run(tmp_path, **more)
    async with app.run_test() as pilot:
        await seen(pilot, app, shot)
        assert line.sent == sent


@pytest.mark.parametrize(("before", "after", "told"), [
    (held(ME), held(ME, asked_by=OTHER), f"{OTHER} asks for control; C hands it over."),
    (held(ME), held(OTHER), f"{OTHER} steers this run now."),
    (held(OTHER, asked_by=ME), held(ME), "You steer this run now."),
    (held(OTHER, asked_by=ME), held(None, None, asked_by=ME), "Nobody steers this run any more; C takes control."),
    (held(None, None), held(ME), None),
    (held(OTHER), held(OTHER, asked_by="eve at pts/3"), None),
    (held(ME, asked_by=OTHER), held(ME, asked_by=OTHER), None),
])  # fmt: skip
async def test_changes_of_control_are_told(tmp_path: Path, before: Snapshot, after: Snapshot, told: str | None) -> None:
    app, _line = at_a_run(tmp_path)
    async with app.run_test() as pilot:
        assert await seen(pilot, app, before) == []
        assert await seen(pilot, app, after) == ([told] if told else [])


async def test_a_lost_engine_opens_its_dialog_once_per_loss(tmp_path: Path) -> None:
    app, _line = at_a_run(tmp_path)
    gone = snapshot(alerts=[LOST], engine={"pid": None, "alive": False, "heartbeat_seconds": 9.0})
    async with app.run_test() as pilot:
        await seen(pilot, app, snapshot(), gone)
        assert isinstance(app.screen, EngineLost)
        app.screen.dismiss(None)
        await seen(pilot, app, gone)
        assert not isinstance(app.screen, EngineLost)
        await seen(pilot, app, snapshot(), gone)
        assert isinstance(app.screen, EngineLost)
        await seen(pilot, app, snapshot())
        assert not isinstance(app.screen, EngineLost)


async def test_dialogs_of_a_run_open_on_every_screen_of_it(tmp_path: Path) -> None:
    app, line = at_a_run(tmp_path)
    async with app.run_test() as pilot:
        await seen(pilot, app, snapshot())
        for action, dialog in (("control", ControlDialog), ("alerts", AlertsDialog), ("note", NoteDialog)):
            await app.run_action(f"app.{action}")
            await pilot.pause()
            assert isinstance(app.screen, dialog)
            app.screen.dismiss("words" if dialog is NoteDialog else None)
            await pilot.pause()
        for _ in range(3):
            await pilot.pause()
        assert line.sent == ["note"]

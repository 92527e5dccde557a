"""Engines killed at every place of a changeover: the next one brings the application where it was going, and back again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import ROOT
from tests.changeover_kit import application, end_app, start_app, two_sides
from tests.sample_app import free_port, wait_health

OVER = (
    "application_halted", "settings_kept", "settings_written", "application_settings_changed", "application_deployed",
    "recipe_command_launched", "application_started", "application_switched",
)  # fmt: skip
BACK = (
    "settings_undo_written", "settings_undone", "application_settings_back", "application_put_back", "recipe_command_launched",
    "application_old_started", "application_back",
)  # fmt: skip
"""Where engines die, one after the other, on the way there and on the way back."""


class Killed:
    """One run, and the application that its engines move."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.app = two_sides(folder / "app")
        (folder / "application.json").write_text(json.dumps(application(self.app, self.port)))
        start_app(self.app, self.port)
        self.before = self.env

    @property
    def env(self) -> str:
        """The settings as they stand."""
        return (self.app / ".env").read_text()

    @property
    def state(self) -> dict[str, Any]:
        """What the engines before left."""
        (path,) = self.folder.glob("state/runs/*/application/state.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def engine(self, way: str, place: str = "", **more: str) -> int:
        """An engine that goes one way, and dies at a place. Returns its exit status."""
        armed = {"STEPFLOW_FAILPOINT": f"{place}:1:kill"} if place else {}
        ran = subprocess.run(
            [sys.executable, "-m", "tests.changeover_kit", str(self.folder), way], cwd=ROOT, timeout=60, check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | armed | more, capture_output=True, text=True,
        )  # fmt: skip
        assert ran.returncode in (0, -signal.SIGKILL) or more, ran.stderr
        return ran.returncode

    def killed(self, way: str, place: str) -> None:
        """An engine that is killed there."""
        assert self.engine(way, place) == -signal.SIGKILL, place


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Killed]:
    made = Killed(tmp_path)
    yield made
    end_app(made.app)


def test_killed_at_every_place(run: Killed) -> None:
    """Every kill but the first hits an engine that was finishing what another one had begun."""
    for place in OVER:
        run.killed("over", place)
    assert run.engine("over") == 0
    assert (run.state["stage"], "MARK=new" in run.env) == ("new", True)
    assert wait_health(run.port)["status"] == "ok"
    for place in BACK:
        run.killed("back", place)
    assert run.engine("back") == 0
    assert (run.state["stage"], run.state["before"], run.env) == ("old", {}, run.before)
    assert wait_health(run.port)["status"] == "ok"


@pytest.mark.parametrize("place", ["application_halted", "application_settings_changed", "application_started"])
def test_taken_back_wherever_it_was_killed(run: Killed, place: str) -> None:
    run.killed("over", place)
    assert run.engine("back") == 0
    assert (run.state["stage"], run.env) == ("old", run.before)
    assert wait_health(run.port)["status"] == "ok"


def test_without_the_state_nobody_knows(run: Killed) -> None:
    """A negative control: where nothing is written down beforehand, the application is left lying."""
    blind = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).with_name("without_state")), str(ROOT)])}
    assert run.engine("over", "application_settings_changed", **blind) == -signal.SIGKILL
    assert run.engine("back", **blind) == 0
    with pytest.raises(TimeoutError):
        wait_health(run.port, 0.5)
    assert run.env != run.before

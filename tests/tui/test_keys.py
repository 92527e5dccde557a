"""Keys on real screens: a config's keymap is in force on its run, and the palette lists what can be done with its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from screens.palette import ActionCommands
from screens.picker import PickerScreen
from screens.run import RunScreen
from stepflow_tui.actions import BY_ID, Scope, actions_of
from stepflow_tui.app import StepFlowApp
from stepflow_tui.engine import api
from tests.golden.fixed import make
from tests.tui.kit import wizard


async def settled(pilot: Pilot[Any], screen: type[Any]) -> None:
    """Wait for a screen."""
    for _ in range(200):
        await pilot.pause(0.02)
        if isinstance(pilot.app.screen, screen):
            break
    await pilot.pause()


async def palette(app: StepFlowApp) -> list[str]:
    """The palette's list before anything is typed."""
    return [str(hit.text) async for hit in ActionCommands(app.screen).discover()]


@pytest.fixture
async def app(tmp_path: Path) -> StepFlowApp:
    """The wizard on a run whose config says `keymap: {pause: t}`."""
    await make(tmp_path / "state")
    return wizard(tmp_path / "state", open_run=api.resolve_run(tmp_path / "state", "shop"))


async def test_the_keymap_of_a_runs_config_is_in_force(app: StepFlowApp) -> None:
    async with app.run_test() as pilot:
        await settled(pilot, RunScreen)
        assert isinstance(app.screen, RunScreen)
        bound = {key: b.binding.id for key, b in app.screen.active_bindings.items()}
        assert bound["t"] == "pause"
        assert bound.get("p") != "pause"
        assert bound["a"] == "alerts"


async def test_the_palette_lists_actions_with_the_keys_they_have(app: StepFlowApp) -> None:
    async with app.run_test() as pilot:
        await settled(pilot, RunScreen)
        listed = await palette(app)
        assert "Alerts (a)" in listed
        assert "Help (?)" in listed
        assert "Pause (p)" not in listed


async def test_the_palette_of_the_first_screen_lists_all_its_actions(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test() as pilot:
        await settled(pilot, PickerScreen)
        assert isinstance(app.screen, PickerScreen)
        labels = {text.rpartition(" (")[0] for text in await palette(app)}
        enabled = {b.binding.id for b in app.screen.active_bindings.values() if b.enabled}
        assert {BY_ID[name].label for name in enabled if name in BY_ID} == labels
        assert {
            a.label for a in actions_of(Scope.PICKER) if a.id in ("new", "advise", "demo", "help", "quit-menu")
        } <= labels

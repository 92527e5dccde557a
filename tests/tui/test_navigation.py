"""Getting from screen to screen, by keys only, on a real run."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from screens.help import HelpScreen
from screens.picker import PickerScreen
from screens.run import RunScreen
from tests.tui.kit import SIZES, snapshot, wizard


async def settled(pilot: Pilot[object]) -> None:
    """Wait until nothing is left to do but the next frame."""
    await pilot.pause()
    await pilot.wait_for_scheduled_animations()
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_the_wizard_starts_with_the_list_of_runs(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, PickerScreen)
        await pilot.press("escape")
        assert app.is_running


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_the_run_screen_shows_a_snapshot(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        screen = RunScreen()
        await app.push_screen(screen)
        screen.apply(snapshot())
        await settled(pilot)
        await pilot.press("question_mark")
        await settled(pilot)
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("escape")
        await settled(pilot)
        assert app.screen is screen

"""Help: about the focused part, with all keys that work there and the commands that do the same."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import Static

from screens.help import HelpScreen
from screens.panels.base import Panel
from screens.run import RunScreen
from stepflow_tui.actions import Scope, actions_of
from stepflow_tui.engine.texts import language
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES, snapshot, wizard


async def settled(pilot: Pilot[Any]) -> None:
    """Nothing is left to do."""
    for _ in range(3):
        await pilot.pause()


async def help_on_the_run(pilot: Pilot[Any], number: int = 1) -> HelpScreen:
    """Open the run screen, focus a panel, ask for help."""
    screen = RunScreen()
    await pilot.app.push_screen(screen)
    screen.apply(snapshot())
    await settled(pilot)
    panel = next(p for p in screen.query(Panel) if number == p.NUMBER)
    panel.focus()
    await pilot.press("f1")
    await settled(pilot)
    assert isinstance(pilot.app.screen, HelpScreen)
    return pilot.app.screen


def written(screen: HelpScreen) -> str:
    """All that it says."""
    console = Console(width=500, record=True, file=io.StringIO())
    for part in screen.query(Static):
        console.print(part.content)
    return " ".join(console.export_text().split())


async def test_every_action_is_explained_with_its_command(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        text = written(await help_on_the_run(pilot))
        for action in actions_of(Scope.RUN):
            assert action.help in text, action.id
            assert not action.cli or f"stepflow {action.cli}" in text, action.id


@pytest.mark.parametrize("number", [0, 1, 5])
async def test_it_begins_with_the_focused_panel(tmp_path: Path, number: int) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await help_on_the_run(pilot, number)
        panel = next(p for p in screen.about.query(Panel) if number == p.NUMBER)
        assert panel.HELP in written(screen)


async def test_other_keys_of_a_config_are_shown(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.set_keymap({"pause": "f9"})
        screen = await help_on_the_run(pilot)
        assert screen._shown_keys()["pause"] == "f9"


@pytest.mark.parametrize("key", ["escape", "question_mark", "f1", "q"])
async def test_it_closes_and_never_quits(tmp_path: Path, key: str) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await help_on_the_run(pilot)
        await pilot.press(key)
        await settled(pilot)
        assert app.screen is screen.about
        assert app.is_running


async def test_it_scrolls_by_keyboard(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await help_on_the_run(pilot)
        await pilot.press("pagedown", "down")
        await settled(pilot)
        scroll = screen.query_one("VerticalScroll")
        assert scroll.scroll_y > 0 or scroll.scroll_target_y > 0


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_it_looks_as_it_did(tmp_path: Path, snap: Snap, size: tuple[int, int], lang: str) -> None:
    language.use(lang)
    app = wizard(tmp_path)
    async with app.run_test(size=size) as pilot:
        await help_on_the_run(pilot)
        snap(app, f"help-{size[0]}-{lang}")

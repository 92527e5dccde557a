"""Errors nobody foresaw: the traceback is in a private file, the operator is told where, the run is left alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static

from screens.widgets.guarded import in_background
from stepflow_tui.app import StepFlowApp
from stepflow_tui.bridge import Bridge
from stepflow_tui.engine.errors import UsageError
from stepflow_tui.facade import facade
from tests.tui.kit import options, wizard
from tests.tui.run_rows import make_run, settled, state_of


class Raising(Screen[None]):
    """A screen that can't be made."""

    def compose(self) -> ComposeResult:
        """Half a screen."""
        yield Static("half")
        raise ZeroDivisionError("a secret value")


async def opened(app: StepFlowApp, screen: Screen[None]) -> None:
    """Run the app and open a screen."""
    async with app.run_test() as pilot:
        await app.push_screen(screen)
        await pilot.pause()


def tracebacks(state: Path) -> list[Path]:
    """What was kept."""
    return sorted(state.glob("crash-*.log"))


async def test_a_screen_that_raises_ends_this_front_end_with_a_traceback_in_a_private_file(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    with pytest.raises(ZeroDivisionError):
        await opened(app, Raising())
    assert app.return_code == 1
    [file] = tracebacks(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "ZeroDivisionError: a secret value" in file.read_text()
    assert app.crash is not None
    assert app.crash.detail == f"ZeroDivisionError; the traceback is in {file}"
    assert not app._exit_renderables  # nothing of it is drawn on the terminal


async def test_work_in_the_background_that_raises_is_told_and_the_app_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        raise ZeroDivisionError("of nobody")

    app = wizard(tmp_path)
    async with app.run_test() as pilot:
        in_background(app, work(), group="any")
        await settled(pilot)
        [told] = app._notifications
        [file] = tracebacks(tmp_path)
        assert str(file) in told.message
        assert "goes on or can be resumed" in told.message
        assert app.is_running
    assert app.crash is None


async def test_a_callback_that_raises_is_told_and_the_app_goes_on(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with app.run_test() as pilot:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await settled(pilot)
        [told] = app._notifications
        [file] = tracebacks(tmp_path)
        assert str(file) in told.message
        assert app.is_running


async def test_a_refusal_in_the_background_leaves_no_traceback(tmp_path: Path) -> None:
    async def work() -> None:
        raise UsageError("Not like this.", hint="Like that.", code="not_like_this")

    app = wizard(tmp_path)
    async with app.run_test() as pilot:
        in_background(app, work(), group="any")
        await settled(pilot)
        [told] = app._notifications
        assert told.title == "Not like this."
        assert "Like that." in told.message
    assert tracebacks(tmp_path) == []


async def test_a_look_that_raises_is_shown_as_the_reason_and_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_journal: Any) -> None: ...

    bridge = Bridge(facade(), await make_run(tmp_path, nothing), options(state_of(tmp_path)))
    assert bridge.look().error is None
    with monkeypatch.context() as damaged:
        damaged.setattr(Bridge, "reader", property(lambda _self: 1 // 0))
        seen = [bridge.look() for _ in range(3)]
    assert [s.error.code for s in seen if s.error] == ["internal"] * 3
    assert all(s.status["name"] == "shop" for s in seen)
    assert len(tracebacks(state_of(tmp_path))) == 1
    assert bridge.look().error is None
    bridge.close()

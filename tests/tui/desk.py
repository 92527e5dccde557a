"""A small app that dialogs can be shown in: it has what they ask of their host, and remembers what they ask for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.widgets import Static

from screens.glyphs import UNICODE
from screens.typeahead import TypeAheadGuard
from stepflow_tui.bridge import Snapshot
from tests.tui.kit import options

ME = "ann at pts/1"


class Desk(TypeAheadGuard):
    """A host without a run behind it."""

    CSS_PATH = str(Path(__file__).parents[2] / "screens" / "app.tcss")

    def __init__(
        self, snapshot: Snapshot | None = None, *, config: Path | None = None, log: str = "", **more: Any
    ) -> None:
        super().__init__()
        self.options = options(Path("/state"), **more)
        self.glyphs = UNICODE
        self.snapshot = snapshot
        self.events: deque[Mapping[str, Any]] = deque()
        self.bridge = SimpleNamespace(who=ME)
        self.api = SimpleNamespace(remains=lambda _path: {"config": str(config) if config else None, "log": log})
        self.acted: list[tuple[Any, ...]] = []
        self.answers: list[Any] = []

    def compose(self) -> ComposeResult:
        """Something to lie on."""
        yield Static("below")

    def act(
        self, verb: str, args: Mapping[str, Any] | None = None, *,
        then: Callable[[Mapping[str, Any]], object] | None = None, take_control: bool = False,
    ) -> None:  # fmt: skip
        """An intent: every one is accepted."""
        self.acted.append((verb, dict(args or {}), *(("take",) if take_control else ())))
        if then is not None:
            then({"state": "done", "answer": {}})

    def begin(self, config: Path, *, new: bool = False) -> None:
        """An engine is to be started."""
        self.acted.append(("begin", config))

    def leave(self) -> None:
        """The front end is to end."""
        self.acted.append(("leave",))


async def settled(pilot: Pilot[Any]) -> None:
    """Nothing is left to do; the terminal has drawn the dialog on top."""
    for _ in range(3):
        await pilot.pause()
    desk = pilot.app
    assert isinstance(desk, Desk)
    desk.hear()
    desk.deaf_until = 0.0


async def shown(pilot: Pilot[Any], dialog: Any) -> None:
    """Open a dialog; its answer goes into `answers`."""
    desk = pilot.app
    assert isinstance(desk, Desk)
    desk.push_screen(dialog, desk.answers.append)
    await settled(pilot)


async def pressed(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys one by one, as a person does who reads."""
    for key in keys:
        await pilot.press(key)
        await settled(pilot)

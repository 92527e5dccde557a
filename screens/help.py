"""Help for the focused panel, and all keys of the screen below."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static

from screens.modals.base import Dialog


class HelpScreen(Dialog[None]):
    """Help on top of a screen."""

    ARMED = False

    def __init__(self, about: Screen[Any]) -> None:
        super().__init__()
        self.about = about

    def compose(self) -> ComposeResult:
        """The screen's name."""
        yield Static(type(self.about).__name__, markup=False)

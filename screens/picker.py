"""The picker screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Footer, Static

from screens.bindings import bindings
from stepflow_tui.actions import Scope


class PickerScreen(Screen[None]):
    """The picker screen."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.PICKER)]

    def compose(self) -> ComposeResult:
        """Nothing much."""
        yield Static("picker", markup=False)
        yield Footer(show_command_palette=False)

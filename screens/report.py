"""The report screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Footer, Static

from screens.bindings import bindings
from stepflow_tui.actions import Scope


class ReportScreen(Screen[None]):
    """The report screen."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.REPORT)]

    def compose(self) -> ComposeResult:
        """Nothing much."""
        yield Static("report", markup=False)
        yield Footer(show_command_palette=False)

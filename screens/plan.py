"""The plan screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Footer, Static

from screens.bindings import bindings
from stepflow_tui.actions import Scope


class PlanScreen(Screen[None]):
    """The plan screen."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.PLAN)]

    def compose(self) -> ComposeResult:
        """Nothing much."""
        yield Static("plan", markup=False)
        yield Footer(show_command_palette=False)

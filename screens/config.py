"""The config screen: what is wrong with a config file, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Footer, Static

from screens.bindings import bindings
from stepflow_tui.actions import Scope


class ConfigScreen(Screen[None]):
    """The problems of one config file."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.CONFIG)]

    def __init__(self, config: Path) -> None:
        super().__init__()
        self.config = config

    def compose(self) -> ComposeResult:
        """The file's name."""
        yield Static(str(self.config), markup=False)
        yield Footer(show_command_palette=False)

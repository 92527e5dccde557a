"""The run screen: steps, what happens now, WAL, switch, row differences, log, alerts; one look tells how the run is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer

from screens.bindings import bindings
from screens.panels.base import Panel
from screens.panels.diffs import DiffsPanel
from screens.panels.log import LogPanel
from screens.panels.now import NowPanel
from screens.panels.steps import StepsPanel
from screens.panels.switch import SwitchPanel
from screens.panels.wal import WalPanel
from stepflow_tui.actions import Scope
from stepflow_tui.bridge import Snapshot


class RunScreen(Screen[None]):
    """One run, live."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.RUN)]
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it on the instance
        (0, "-narrow"),
        (110, "-wide"),
    ]
    CSS_PATH = "run.tcss"

    def compose(self) -> ComposeResult:
        """The panels."""
        with Horizontal(id="upper"):
            yield StepsPanel()
            with Vertical():
                yield NowPanel()
                with Horizontal():
                    yield WalPanel()
                    yield SwitchPanel()
                yield DiffsPanel()
        yield LogPanel()
        yield Footer(show_command_palette=False)

    def apply(self, snapshot: Snapshot) -> None:
        """Show a state of the run."""
        for panel in self.query(Panel):
            panel.apply(snapshot)

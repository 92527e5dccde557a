"""Panel 1: Now."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult

from screens.panels.base import Panel, Value
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_


class NowPanel(Panel):
    """Now."""

    NUMBER: ClassVar[int] = 1
    NAME: ClassVar[str] = N_("Now")

    def compose(self) -> ComposeResult:
        """One text."""
        yield Value(id="text")

    def apply(self, snapshot: Snapshot) -> None:
        """Show it."""
        self.query_one("#text", Value).show(str(snapshot.status.get("state")))

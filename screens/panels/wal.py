"""Panel 2: WAL."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult

from screens.panels.base import Panel, Value
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_


class WalPanel(Panel):
    """WAL."""

    NUMBER: ClassVar[int] = 2
    NAME: ClassVar[str] = N_("WAL")

    def compose(self) -> ComposeResult:
        """One text."""
        yield Value(id="text")

    def apply(self, snapshot: Snapshot) -> None:
        """Show it."""
        self.query_one("#text", Value).show(str(snapshot.status.get("state")))

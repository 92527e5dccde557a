"""The quit menu: detach, pause and detach, or abort."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from screens.modals.base import Dialog


class QuitMenu(Dialog[None]):
    """What is to become of the run."""

    def compose(self) -> ComposeResult:
        """The choices."""
        yield Static("quit", markup=False)

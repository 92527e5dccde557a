"""Somebody else steers the run: say who, and offer to take control."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from screens.modals.base import Dialog
from stepflow_tui.engine.errors import StepFlowError


class ControlHeld(Dialog[bool]):
    """Whether to take control."""

    def __init__(self, error: StepFlowError) -> None:
        super().__init__()
        self.error = error

    def compose(self) -> ComposeResult:
        """Who has it."""
        yield Static(self.error.message, markup=False)

"""Rolling back: what it loses and how long it takes, why it is done, and the run's name."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widgets import Input

from screens.modals.confirm import ConfirmTyped
from screens.modals.note import MAX_NOTE
from screens.widgets.folded import Folded
from stepflow_tui.engine.texts.language import _


class RollbackDialog(ConfirmTyped):
    """Asks for a reason, then for the name. The answer is the name; `reason` holds the other."""

    def __init__(self, heading: str, lines: Sequence[str], name: str) -> None:
        super().__init__(heading, lines, name)
        self.reason = ""

    def asked(self) -> ComposeResult:
        """Why."""
        yield Folded(_("Reason (needed, goes into the audit and the report):"), markup=False)
        yield Input(id="reason", max_length=MAX_NOTE, compact=True)

    @property
    def complete(self) -> bool:
        """Whether both were typed."""
        self.reason = self.query_one("#reason", Input).value.strip()
        return bool(self.reason) and super().complete

    def confirm(self) -> None:
        """Answer, or go to what is still missing."""
        if self.complete:
            super().confirm()
        else:
            self.query_one("#name" if self.reason else "#reason").focus()

"""A note to be written: for the audit, for a checklist item, for an alert."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Button, Input

from screens.modals.base import Dialog, Lines, title
from screens.widgets.choices import Choices
from screens.widgets.folded import Folded
from stepflow_tui.engine.texts.language import _

MAX_NOTE = 500


class AskNote(Dialog[str]):
    """Asks for a note; without one there is no answer."""

    AUTO_FOCUS = "Input"

    def __init__(self, heading: str, lines: Sequence[str], save: str) -> None:
        super().__init__()
        self._heading, self._lines, self._save = heading, lines, save

    def compose(self) -> ComposeResult:
        """What it is about, and where to write."""
        with Vertical(classes="box"):
            yield title(self._heading)
            yield Lines(self._lines)
            yield Folded(_("Note (needed, goes into the audit and the report):"), markup=False)
            yield Input(max_length=MAX_NOTE, compact=True)
            yield Choices([("cancel", _("Cancel")), ("save", self._save)])

    def on_mount(self) -> None:
        """Nothing is written yet."""
        self.query_one("#save", Button).disabled = True

    @on(Input.Changed)
    def _written(self, event: Input.Changed) -> None:
        self.query_one("#save", Button).disabled = not event.value.strip()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._answer()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "save":
            self._answer()
        else:
            self.dismiss(None)

    def _answer(self) -> None:
        note = self.query_one(Input).value.strip()
        if note:
            self.dismiss(note)


class NoteDialog(AskNote):
    """A note for the run."""

    def __init__(self) -> None:
        super().__init__(_("Write a note"), [], _("Save"))

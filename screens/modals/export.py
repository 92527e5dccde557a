"""Where to write a copy: a path to type, with one that fits proposed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Button, Input, Static

from screens.modals.base import Dialog, Lines, title
from screens.widgets.choices import Choices
from stepflow_tui.engine.texts.language import _


class ExportDialog(Dialog[Path]):
    """The path to write to, without its suffix, or None.

    Args:
        heading: what is written.
        lines: what else to know.
        suffixes: the files that are made.
        proposed: the path to begin with.
    """

    AUTO_FOCUS = "Input"

    def __init__(self, heading: str, lines: Sequence[str], suffixes: Sequence[str], proposed: Path) -> None:
        super().__init__()
        self._heading, self._lines, self._suffixes, self._proposed = heading, lines, suffixes, proposed

    def compose(self) -> ComposeResult:
        """What is written, and where."""
        with Vertical(classes="box"):
            yield title(self._heading)
            yield Lines(self._lines)
            files = _("Writes {suffixes}; a file that is there already is never written over.")
            yield Static(files.format(suffixes=", ".join(self._suffixes)), markup=False)
            yield Input(str(self._proposed))
            yield Choices([("cancel", _("Cancel")), ("write", _("Write"))])

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.query_one("#write", Button).disabled = not _named(event.value)

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._answer()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "write":
            self._answer()
        else:
            self.dismiss(None)

    def _answer(self) -> None:
        text = self.query_one(Input).value
        if _named(text):
            self.dismiss(_without(Path(text.strip()).expanduser(), self._suffixes))


def _named(text: str) -> bool:
    """Whether it names a file."""
    return bool(text.strip()) and "\0" not in text and Path(text.strip()).name not in ("", "..")


def _without(path: Path, suffixes: Sequence[str]) -> Path:
    return path.with_suffix("") if path.suffix in suffixes else path

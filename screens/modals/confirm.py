"""Confirmations: a plain one, and one that asks for a name."""

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
from stepflow_tui.render.clean import clean_line


class ConfirmPlain(Dialog[bool]):
    """One question. The answer is True, or False or None for "no"."""

    AUTO_FOCUS = "#cancel"

    def __init__(self, heading: str, lines: Sequence[str], yes: str) -> None:
        super().__init__()
        self._heading, self._lines, self._yes = heading, lines, yes

    def compose(self) -> ComposeResult:
        """Question and answers, "no" first."""
        with Vertical(classes="box"):
            yield title(self._heading)
            yield Lines(self._lines)
            yield Choices([("cancel", _("Cancel")), ("yes", self._yes)])

    @on(Button.Pressed)
    def _answered(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")


class ConfirmTyped(Dialog[str]):
    """A question that only the typed name answers. The answer is that name, or None."""

    AUTO_FOCUS = "Input"

    def __init__(self, heading: str, lines: Sequence[str], name: str) -> None:
        super().__init__()
        self._heading, self._lines, self._name_to_type = heading, lines, name

    def compose(self) -> ComposeResult:
        """What it means, what to type, and where."""
        with Vertical(classes="box"):
            yield title(self._heading)
            yield Lines(self.said())
            yield from self.asked()
            yield Folded(_("Type {name} to confirm:").format(name=clean_line(self._name_to_type)), markup=False)
            yield Input(id="name", compact=True)
            yield Choices(self.choices())

    def said(self) -> Sequence[str]:
        """What it means."""
        return self._lines

    def asked(self) -> ComposeResult:
        """What else is asked before the name."""
        yield from ()

    def choices(self) -> list[tuple[str, str]]:
        """The answers; the first one is no."""
        return [("cancel", _("Cancel")), ("yes", _("Confirm"))]

    def on_mount(self) -> None:
        """Nothing is typed yet."""
        self.query_one("#yes", Button).disabled = True

    @property
    def complete(self) -> bool:
        """Whether the name was typed."""
        return self.query_one("#name", Input).value.strip() == self._name_to_type

    @on(Input.Changed)
    def _typed(self) -> None:
        self.query_one("#yes", Button).disabled = not self.complete

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.confirm()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.chosen(str(event.button.id))

    def chosen(self, choice: str) -> None:
        """A button was pressed."""
        if choice == "yes":
            self.confirm()
        else:
            self.dismiss(None)

    def confirm(self) -> None:
        """Answer, if all that is asked was typed."""
        if self.complete:
            self.dismiss(self._name_to_type)

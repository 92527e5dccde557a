"""A long text in a dialog of its own: a value, a statement, an event. It is scrolled, and copied where that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from screens.host import app_of
from screens.modals.base import Dialog, title
from screens.widgets.flow import Line
from screens.widgets.line_list import LineList
from screens.widgets.moving import MOVES, Moving, actions
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.clean import clean

LONGEST_LINE = 20_000
"""Characters: values may have no line breaks at all."""


class TextDialog(Moving, Dialog[None]):
    """Shows a text. Nothing is asked."""

    ARMED = False
    BINDINGS: ClassVar[list[BindingType]] = [*MOVES, *actions("copy", "wrap")]
    DEFAULT_CSS = """
    TextDialog > .box {
        width: 96%;
        height: 96%;
    }
    TextDialog .hints {
        height: 1;
        color: $text-muted;
    }
    """

    def __init__(self, heading: str, text: str | Sequence[str], *, name: str = "") -> None:
        """`name`: what a copy's file is called; "" for a text that must not be kept."""
        super().__init__()
        self._heading, self._file_name = heading, name
        self._text = _lines(text)

    @property
    def listed(self) -> LineList:
        """The lines."""
        return self.query_one(LineList)

    def compose(self) -> ComposeResult:
        """Heading, text, what can be done."""
        hints = _("w wrap  Esc close") if not self._file_name else _("y copy  w wrap  Esc close")
        with Vertical(classes="box"):
            yield title(self._heading)
            yield LineList(wrap=True)
            yield Static(hints, classes="hints", markup=False)

    def on_mount(self) -> None:
        """Show the text."""
        self._draw()

    def tell(self, text: str | Sequence[str]) -> None:
        """Show another text."""
        self._text = _lines(text)
        self._draw()

    def _draw(self) -> None:
        self.listed.show([Line(line[n : n + LONGEST_LINE]) for line in self._text for n in _pieces(line)])

    def action_copy(self) -> None:
        """Copy the text."""
        from screens.copying import copy_text

        if self._file_name:
            copy_text(app_of(self), "\n".join(self._text), self._file_name)

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.listed.window.set_wrap(not self.listed.window.wrap)
        self.listed.draw()


def _lines(text: str | Sequence[str]) -> list[str]:
    lines = text.split("\n") if isinstance(text, str) else text
    return [clean(line).replace("\t", "    ") for line in lines]


def _pieces(line: str) -> range:
    return range(0, max(1, len(line)), LONGEST_LINE)

"""The details of one thing, to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from screens.modals.base import Dialog, title
from screens.widgets.document import Line
from screens.widgets.reader import Reader


class DetailsDialog(Dialog[None]):
    """Lines in a box; Escape or Enter closes it."""

    ARMED = False
    AUTO_FOCUS = "Reader"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "cancel", show=False)]
    DEFAULT_CSS = """
    DetailsDialog > .box {
        height: 16;
    }
    """

    def __init__(self, heading: str, lines: Sequence[Line]) -> None:
        super().__init__()
        self._heading, self._lines = heading, lines

    def compose(self) -> ComposeResult:
        """Heading and lines."""
        with Vertical(classes="box"):
            yield title(self._heading)
            yield Reader()

    def on_mount(self) -> None:
        """Fill it."""
        self.query_one(Reader).show(self._lines)

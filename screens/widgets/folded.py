"""Text cut into rows at blanks and between characters of scripts that have none: Textual knows blanks only."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text
from textual.app import RenderResult as Shown
from textual.geometry import Size
from textual.widgets import Static

from screens.widgets.wrapping import wrapped

LEAST = 10
"""Cells that a text in a table needs."""


class Fold:
    """A text in a cell of a table, cut the same way."""

    def __init__(self, text: Text) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Its rows."""
        yield from wrapped(self._text, options.max_width)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """At least a word's width, at most one row."""
        return Measurement(min(LEAST, options.max_width), min(self._text.cell_len, options.max_width))


class Folded(Static):
    """A text that may be Chinese."""

    def render(self) -> Shown:
        """Its rows."""
        rows = self._rows(self.content_size.width)
        return super().render() if rows is None else Text("\n", no_wrap=True).join(rows)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many as there are rows."""
        rows = self._rows(width)
        return super().get_content_height(container, viewport, width) if rows is None else len(rows)

    def _rows(self, width: int) -> list[Text] | None:
        """None where Textual cuts it right: ASCII, one line, a table."""
        content = self.content
        text = Text(content) if isinstance(content, str) else content
        if not isinstance(text, Text) or text.plain.isascii() or text.no_wrap or width < 1:
            return None
        if self.styles.text_wrap == "nowrap" or self.styles.is_auto_width:
            return None
        return [row for line in text.split("\n", allow_blank=True) for row in wrapped(line, width)]

"""Lines of text on the screen: a table's rows, a log, a history. Draws only the rows that changed.

One widget for all lists. It keeps its place itself instead of having a virtual size: when lines arrive there is no layout pass
and no scroll bar to draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from screens.widgets.cells import cut
from screens.widgets.flow import Line, pattern
from screens.widgets.window import Shown, Window

ROLES = ("cursor", "match", "found", "dim", "good", "warn", "bad", "strong")
WHEEL_LINES = 3


class LineList(Widget, can_focus=False):
    """Lines in a window. Keys come through whoever has the focus; the cursor is drawn while `lit`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{role}" for role in ROLES}
    DEFAULT_CSS = """
    LineList {
        height: 1fr;
    }
    LineList > .lines--cursor {
        text-style: reverse;
    }
    LineList > .lines--match {
        text-style: underline;
    }
    LineList > .lines--found {
        text-style: bold reverse;
    }
    LineList > .lines--dim {
        color: $text-muted;
    }
    LineList > .lines--good {
        color: $text-success;
    }
    LineList > .lines--warn {
        color: $text-warning;
    }
    LineList > .lines--bad {
        color: $text-error;
        text-style: bold;
    }
    LineList > .lines--strong {
        text-style: bold;
    }
    """

    class Moved(Message):
        """The window or its cursor moved."""

    class Chosen(Message):
        """The selected line was clicked."""

    def __init__(self, *, cursor: bool = False, follow: bool = False, wrap: bool = False, more: str = "…") -> None:
        super().__init__()
        self.window = Window(cursor=0 if cursor else None, follow=follow, wrap=wrap)
        self.more = more
        self.lit = False
        self._drawn: list[Shown] = []

    @property
    def lines(self) -> Sequence[Line]:
        """All lines."""
        return self.window.lines

    def show(self, lines: Sequence[Line]) -> None:
        """Have these lines instead."""
        self.window.replace(lines)
        self.draw()

    def append(self, lines: Sequence[Line], keep: int) -> None:
        """Add lines at the end and forget the oldest beyond `keep`."""
        if lines:
            self.window.append(lines, keep)
            self.draw()

    def prepend(self, lines: Sequence[Line], keep: int) -> None:
        """Add older lines before the first, and forget the newest beyond `keep`."""
        if lines:
            self.window.prepend(lines, keep)
            self.draw()

    def move(self, how: str) -> None:
        """`up`, `down`, `page_up`, `page_down`, `first` or `last`."""
        self.window.move(how)
        self._moved()

    def select(self, index: int) -> None:
        """Put the cursor on a line."""
        self.window.select(index)
        self._moved()

    def light(self, on: bool) -> None:
        """Draw the cursor, or do not."""
        if self.lit != on:
            self.lit = on
            self.draw(again=True)

    def draw(self, *, again: bool = False) -> None:
        """Draw what is not on the screen yet. `again`: the cursor's row too."""
        rows = self.window.visible()
        for y in range(max(len(rows), len(self._drawn))):
            old, new = self._drawn[y : y + 1], rows[y : y + 1]
            if old != new or (again and (new[0].selected or self.window.needle)):
                self.draw_row(y)
        self._drawn = rows

    def draw_row(self, y: int) -> None:
        """Draw one row of the window."""
        self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """One row."""
        width, style = self.size.width, self.rich_style
        if y >= len(self._drawn):
            return Strip.blank(width, style)
        row = self._drawn[y]
        indent = row.line.indent if row.start else 0
        piece = row.line.text[row.start : row.end]
        text = Text(" " * indent + cut(piece, width - indent, self.more), no_wrap=True, end="")
        text.stylize(style)  # a style of the whole text is lost where there are no marks
        shift = indent - row.start
        for start, end, role in self._marks(row):
            if end > row.start and start < row.end:
                text.stylize(self._role(role), max(start, row.start) + shift, min(end, row.end) + shift)
        strip = Strip(text.render(self.app.console)).adjust_cell_length(width, style)
        return strip.apply_style(self._role("cursor")) if row.selected and self.lit else strip

    def on_resize(self, event: events.Resize) -> None:
        """Fit into the new size."""
        self.window.resize(event.size.width, event.size.height)
        self._drawn = self.window.visible()
        self.refresh()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel."""
        self._wheel("up", event)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel."""
        self._wheel("down", event)

    def on_click(self, event: events.Click) -> None:
        """Select the line; a click on the selected line chooses it."""
        line = self.window.line_at(event.y)
        if line is None or self.window.cursor is None:
            return
        if line == self.window.cursor and self.lit:
            self.post_message(self.Chosen())
        else:
            self.select(line)

    def _wheel(self, how: str, event: events.MouseEvent) -> None:
        event.stop()
        for _ in range(WHEEL_LINES):
            self.window.move(how)
        self._moved()

    def _moved(self) -> None:
        self.draw()
        self.post_message(self.Moved())

    def _marks(self, row: Shown) -> list[tuple[int, int, str]]:
        marks = list(row.line.marks)
        if self.window.needle:
            role = "found" if row.found else "match"
            marks += [(*m.span(), role) for m in pattern(self.window.needle).finditer(row.line.text)]
        return marks

    def _role(self, role: str) -> Style:
        return self.get_component_rich_style(f"lines--{role}", partial=True)

"""A text to read on the terminal: thousands of lines, of which only the visible ones are drawn.

It wraps or cuts long lines, marks what is searched for, and has a cursor where lines stand for things. Lines are rich `Text`:
nothing in them is ever taken for markup.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from screens.widgets.wrapping import wrapped

_FOUND = Style(underline=True, bold=True)


@dataclass(frozen=True, slots=True)
class Line:
    """One line before wrapping.

    Args:
        text: what it says.
        key: what it stands for; the cursor stops at lines that have one.
        hang: how far continued lines are indented.
    """

    text: Text
    key: str = ""
    hang: int = 0


class Reader(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows lines. `selected` is the key the cursor is on."""

    class Selected(Message):
        """The cursor went to another line, or there was a click on one."""

        def __init__(self, reader: Reader, key: str) -> None:
            super().__init__()
            self.reader = reader
            self.key = key

        @property
        def control(self) -> Reader:
            """The reader."""
            return self.reader

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("home,g", "end(False)", show=False),
        Binding("end,G", "end(True)", show=False),
        Binding("shift+right", "sideways(8)", show=False),
        Binding("shift+left", "sideways(-8)", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"reader--cursor"}
    DEFAULT_CSS = """
    Reader {
        height: 1fr;
        overflow-x: hidden;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 1;
    }
    Reader > .reader--cursor {
        background: $boost;
        text-style: bold;
    }
    Reader:focus > .reader--cursor {
        background: $primary-muted;
        text-style: bold;
    }
    """

    def __init__(self, *, id: str | None = None, wrap: bool = True) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.wrap = wrap
        self.needle = ""
        self._lines: Sequence[Line] = ()
        self._rows: list[Text] = []
        self._starts: list[int] = []  # first row of each line
        self._found: list[int] = []  # lines that hold the needle
        self._at: int | None = None  # the match that was gone to
        self._cursor: int | None = None
        self._laid_out = -1

    @property
    def selected(self) -> str:
        """The key of the line the cursor is on, "" where there is none."""
        return self._lines[self._cursor].key if self._cursor is not None else ""

    @property
    def matches(self) -> int:
        """How many lines hold what is searched for."""
        return len(self._found)

    def plain(self) -> str:
        """All lines as plain text."""
        return "\n".join(line.text.plain.rstrip() for line in self._lines) + "\n"

    def show(self, lines: Sequence[Line], *, stay: bool = False) -> None:
        """Show these lines, from the top, or with `stay` where the old ones were read."""
        if stay and lines == self._lines:
            return
        key, top = self.selected, self.scroll_offset.y
        self._lines = lines
        keyed = [n for n, line in enumerate(lines) if line.key]
        kept = next((n for n in keyed if lines[n].key == key), None) if stay else None
        self._cursor = kept if kept is not None else keyed[0] if keyed else None
        self._find()
        self._lay_out()
        self.scroll_to(0, top if stay else 0, animate=False, immediate=True)

    def search(self, needle: str) -> None:
        """Mark lines that hold this, whatever its case."""
        if needle != self.needle:
            self.needle = needle
            self._find()
            self._lay_out()

    def go_to_match(self, step: int) -> bool:
        """Go to the next match, or the one before; the first time to the first, or the last. Returns whether there is one."""
        at = self._at
        there = [n for n in self._found if at is None or (n > at if step > 0 else n < at)]
        if not there:
            return False
        self._at = there[0] if step > 0 else there[-1]
        self._reveal(self._at)
        self.refresh()
        return True

    def set_wrap(self, *, wrap: bool) -> None:
        """Wrap long lines, or cut them."""
        self.wrap = wrap
        self.styles.overflow_x = "hidden" if wrap else "auto"
        self._lay_out()

    def render_line(self, y: int) -> Strip:
        """One row of the terminal."""
        row = self.scroll_offset.y + y
        width = self.scrollable_content_region.width
        if row >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        strip = Strip(self._rows[row].render(self.app.console))
        strip = strip.crop_extend(self.scroll_offset.x, self.scroll_offset.x + width, None)
        at_cursor = bisect_right(self._starts, row) - 1 in (self._cursor, self._at)
        style = self.rich_style
        return strip.apply_style(style + self.get_component_rich_style("reader--cursor") if at_cursor else style)

    def on_resize(self) -> None:
        """Wrap anew."""
        if self._laid_out != self.scrollable_content_region.width:
            self._lay_out()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the line that was clicked, if it stands for something."""
        row = self.scroll_offset.y + event.y
        line = bisect_right(self._starts, row) - 1
        if row < len(self._rows) and self._lines[line].key:
            self._put_cursor(line)

    def action_move(self, step: int) -> None:
        """Move the cursor to the next line that stands for something, as far as it is in sight; else scroll."""
        shown = range(self.scroll_offset.y, self.scroll_offset.y + max(1, self.size.height))
        seen = [
            n
            for n, line in enumerate(self._lines)
            if line.key and (self._starts[n] in shown or self._starts[n] - step in shown)
        ]
        here = self._cursor
        if here is not None and here not in seen:
            here = None
        ahead = [n for n in seen if here is None or (n > here if step > 0 else n < here)]
        if ahead:
            self._put_cursor(ahead[0] if step > 0 else ahead[-1])
        else:
            self.scroll_relative(y=step, animate=False)

    def action_page(self, step: int) -> None:
        """A page up or down."""
        self.scroll_relative(y=step * max(1, self.size.height - 1), animate=False)

    def action_end(self, last: bool) -> None:
        """To the first or the last line."""
        self.scroll_to(y=self.max_scroll_y if last else 0, animate=False)

    def action_sideways(self, step: int) -> None:
        """See the rest of lines that are cut."""
        self.scroll_relative(x=step, animate=False)

    def _put_cursor(self, line: int) -> None:
        if line != self._cursor:
            self._cursor = line
            self.refresh()
        self._reveal(line)
        self.post_message(self.Selected(self, self.selected))

    def _reveal(self, line: int) -> None:
        """Scroll as little as needed to see the line."""
        top, last = self._starts[line], (self._starts[line + 1 : line + 2] or [len(self._rows)])[0] - 1
        height = max(1, self.size.height)
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False)
        elif last >= self.scroll_offset.y + height:
            self.scroll_to(y=min(top, last - height + 1), animate=False)

    def _find(self) -> None:
        self._at = None
        wanted = self.needle.casefold()
        self._found = (
            [n for n, line in enumerate(self._lines) if wanted in line.text.plain.casefold()] if wanted else []
        )

    def _lay_out(self) -> None:
        """Cut lines into rows of the present width."""
        width = self._laid_out = self.scrollable_content_region.width
        found = set(self._found)
        self._rows, self._starts = [], []
        for number, line in enumerate(self._lines):
            self._starts.append(len(self._rows))
            text = self._marked(line.text) if number in found else line.text
            self._rows += wrapped(text, width, line.hang) if self.wrap else [text]
        longest = width if self.wrap else max((cell_len(r.plain) for r in self._rows), default=0)
        self.virtual_size = Size(longest, len(self._rows))
        self.refresh()

    def _marked(self, text: Text) -> Text:
        marked = text.copy()
        marked.highlight_words([self.needle], _FOUND, case_sensitive=False)
        return marked

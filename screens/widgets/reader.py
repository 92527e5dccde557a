"""A text to read on the terminal: thousands of lines, of which only the visible ones are drawn.

It wraps or cuts long lines, marks what is searched for, and has a cursor where lines stand for things. Lines are rich `Text`:
nothing in them is ever taken for markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from screens.widgets.document import Document, Line


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
        self.document = Document()
        self._cursor: int | None = None
        self._at: int | None = None  # the match that was gone to
        self._laid_out = -1

    @property
    def selected(self) -> str:
        """The key of the line the cursor is on, "" where there is none."""
        return self.document.lines[self._cursor].key if self._cursor is not None else ""

    def plain(self) -> str:
        """All lines as plain text."""
        return "\n".join(line.text.plain.rstrip() for line in self.document.lines) + "\n"

    def show(self, lines: Sequence[Line], *, stay: bool = False) -> None:
        """Show these lines, from the top, or with `stay` where the old ones were read."""
        if stay and lines == self.document.lines:
            return
        key, top = self.selected, self.scroll_offset.y
        self.document.replace(lines)
        keyed = self._keyed()
        kept = next((n for n in keyed if lines[n].key == key), None) if stay else None
        self._cursor = kept if kept is not None else keyed[0] if keyed else None
        self._lay_out()
        self.scroll_to(0, top if stay else 0, animate=False, immediate=True)

    def search(self, needle: str) -> None:
        """Mark lines that hold this, whatever its case."""
        if needle != self.document.needle:
            self.document.find(needle)
            self._lay_out()

    def go_to_match(self, step: int) -> bool:
        """Go to the next match, or the one before; the first time to the first, or the last. Returns whether there is one."""
        at = self._at
        there = [n for n in self.document.found if at is None or (n > at if step > 0 else n < at)]
        if not there:
            return False
        self._at = there[0] if step > 0 else there[-1]
        self._moved(at, self._at)
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
        if row >= len(self.document.rows):
            return Strip.blank(width, self.rich_style)
        strip = Strip(self.document.rows[row].render(self.app.console))
        strip = strip.crop_extend(self.scroll_offset.x, self.scroll_offset.x + width, None)
        style = self.rich_style
        if self.document.line_at(row) in (self._cursor, self._at):
            style += self.get_component_rich_style("reader--cursor")
        return strip.apply_style(style)

    def on_resize(self) -> None:
        """Wrap anew."""
        if self._laid_out != self.scrollable_content_region.width:
            self._lay_out()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the line that was clicked, if it stands for something."""
        row = self.scroll_offset.y + event.y
        line = self.document.line_at(row)
        if row < len(self.document.rows) and self.document.lines[line].key:
            self._put_cursor(line)

    def action_move(self, step: int) -> None:
        """Move the cursor to the next line that stands for something, as far as it is in sight; else scroll."""
        top, height = self.scroll_offset.y, max(1, self.size.height)
        rows = range(top + min(step, 0), top + height + max(step, 0))
        seen = [n for n in self._keyed() if self.document.rows_of(n).start in rows]
        here = self._cursor if self._cursor in seen else None
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

    def _keyed(self) -> list[int]:
        return [n for n, line in enumerate(self.document.lines) if line.key]

    def _put_cursor(self, line: int) -> None:
        before, self._cursor = self._cursor, line
        self._moved(before, line)
        self.post_message(self.Selected(self, self.selected))

    def _moved(self, before: int | None, line: int) -> None:
        """Draw both lines again, and scroll as little as needed to see the new one."""
        for changed in (line,) if before is None else (before, line):
            self.refresh_lines(self.document.rows_of(changed).start, len(self.document.rows_of(changed)))
        rows, height = self.document.rows_of(line), max(1, self.size.height)
        if rows.start < self.scroll_offset.y:
            self.scroll_to(y=rows.start, animate=False)
        elif rows.stop > self.scroll_offset.y + height:
            self.scroll_to(y=min(rows.start, rows.stop - height), animate=False)

    def _lay_out(self) -> None:
        """Cut lines into rows of the present width."""
        self._at = None
        width = self._laid_out = self.scrollable_content_region.width
        self.virtual_size = Size(self.document.lay_out(width, wrap=self.wrap), len(self.document.rows))
        self.refresh()

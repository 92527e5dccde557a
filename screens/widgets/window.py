"""A window over lines: which rows are seen, where the cursor is, where matches are. Pure: no Textual, nothing is drawn."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from screens.widgets.flow import Flow, Line, pattern


@dataclass(frozen=True, slots=True)
class Shown:
    """A row as it is seen: a part of a line, the cursor on it or not, holding the current match or not."""

    line: Line
    start: int
    end: int
    selected: bool
    found: bool


@dataclass(slots=True, kw_only=True)
class Window(Flow):
    """Lines, and the part of them that is seen.

    Args:
        cursor: the selected line; None for a window that is moved itself.
        follow: whether new lines move the window to the end.
        unseen: lines that came while it did not follow.
        at: the line of the current match.
    """

    cursor: int | None = None
    follow: bool = False
    height: int = 0
    top: int = 0
    unseen: int = 0
    needle: str = ""
    at: int | None = None

    def resize(self, width: int, height: int) -> None:
        """Have another size."""
        if width != self.width or not self.wrap:
            self.width = width
            self._reflow()
        self.height = height
        self._settle()

    def set_wrap(self, wrap: bool) -> None:
        """Wrap long lines, or cut them; the first line seen stays."""
        first = self._row(self.top)[0] if self.top < self.total else 0
        self.wrap = wrap
        self._reflow()
        self.top = self._row_of(first)
        self._settle()

    def replace(self, lines: Sequence[Line]) -> None:
        """Have these lines instead."""
        self.lines = list(lines)
        self._reflow()
        self._settle()

    def append(self, lines: Sequence[Line], keep: int) -> None:
        """Add lines at the end and forget the oldest beyond `keep`."""
        self.lines += lines
        if self.wrap:
            self._rows += [
                row for n in range(len(self.lines) - len(lines), len(self.lines)) for row in self._wrapped(n)
            ]
        self._forget(max(0, len(self.lines) - keep))
        if not self.follow:
            self.unseen = min(self.unseen + len(lines), len(self.lines))
        self._settle()

    def prepend(self, lines: Sequence[Line], keep: int) -> None:
        """Add older lines before the first, and forget the newest beyond `keep`; what is seen stays."""
        self.lines[:0] = lines
        del self.lines[keep:]
        if self.cursor is not None:
            self.cursor += len(lines)
        if self.at is not None:
            self.at += len(lines)
        before = self.total
        self._reflow()
        self.top += self.total - before if self.wrap else len(lines)
        self._settle()

    def move(self, how: str) -> None:
        """`up`, `down`, `page_up`, `page_down`, `first` or `last`."""
        page, everything = max(1, self.height - 1), self.total
        by = {"up": -1, "down": 1, "page_up": -page, "page_down": page, "first": -everything, "last": everything}[how]
        if self.cursor is not None:
            self.select(self.cursor + by)
            return
        self.top = min(max(0, self.top + by), self.end)
        self._set_follow(by > 0 and self.top == self.end)

    def select(self, index: int) -> None:
        """Put the cursor on a line and show it."""
        if self.cursor is not None:
            self.cursor = min(max(0, index), max(0, len(self.lines) - 1))
            self._set_follow(self.follow and self.cursor == len(self.lines) - 1)
            self._settle()

    def go_end(self) -> None:
        """Show the newest lines and follow them."""
        self._set_follow(True)
        self._settle()

    def stay(self) -> None:
        """Follow no longer."""
        self._set_follow(False)

    def find(self, needle: str) -> int:
        """Look for a text, whatever its case; go to its last place. Returns in how many lines it is."""
        self.needle, self.at = needle, None
        places = self.places()
        if places:
            self._go(places[-1])
        return len(places)

    def step(self, by: int) -> None:
        """Go to the next (1) or previous (-1) line that holds the text, round and round."""
        places = self.places()
        if places:
            here = -1 if self.at is None else bisect_left(places, self.at)
            self._go(places[(here + by) % len(places)])

    def places(self) -> list[int]:
        """The lines that hold the text looked for."""
        if not self.needle:
            return []
        looked = pattern(self.needle)
        return [n for n, line in enumerate(self.lines) if looked.search(line.text)]

    def visible(self) -> list[Shown]:
        """The rows seen, from the top."""
        rows = [self._row(n) for n in range(self.top, min(self.total, self.top + self.height))]
        return [Shown(self.lines[n], start, end, n == self.cursor, n == self.at) for n, start, end in rows]

    @property
    def end(self) -> int:
        """The top row when the last row is seen."""
        return max(0, self.total - self.height)

    def line_at(self, y: int) -> int | None:
        """The line in a row of the window."""
        return self._row(self.top + y)[0] if self.top + y < self.total else None

    def _go(self, line: int) -> None:
        self.at = line
        if self.cursor is not None:
            self.select(line)
            return
        self._set_follow(False)
        row = self._row_of(line)
        if not self.top <= row < self.top + self.height:
            self.top = min(max(0, row - self.height // 2), self.end)

    def _set_follow(self, follow: bool) -> None:
        self.follow = follow
        if follow:
            self.unseen = 0

    def _settle(self) -> None:
        """Keep window and cursor inside the lines; at the end while following."""
        if self.cursor is not None:
            last = max(0, len(self.lines) - 1)
            self.cursor = last if self.follow else min(self.cursor, last)
            row = self._row_of(self.cursor)
            self.top = min(max(self.top, row - self.height + 1), row)
        self.top = self.end if self.follow else min(max(0, self.top), self.end)

    def _forget(self, count: int) -> None:
        if not count:
            return
        rows = bisect_left(self._rows, (count, 0, 0)) if self.wrap else count
        del self.lines[:count]
        self._rows = [(n - count, start, end) for n, start, end in self._rows[rows:]]
        self.top -= rows
        self.at = None if self.at is None or self.at < count else self.at - count
        self.cursor = None if self.cursor is None else max(0, self.cursor - count)

"""Lines of text and the rows they take in a width: wrapped, or one row each. Pure: no Textual, nothing is drawn."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field

from rich.cells import cell_len, get_character_cell_size

SHORTEST = 8
"""A wrapped line's rows are at least this wide, however far it is indented."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text. `marks` are ranges of characters with the role they play; wrapped rows start at `indent`."""

    text: str
    marks: tuple[tuple[int, int, str], ...] = ()
    indent: int = 0


@dataclass(slots=True, kw_only=True)
class Flow:
    """Lines, and where their rows begin."""

    width: int = 0
    wrap: bool = False
    lines: list[Line] = field(default_factory=list)
    _rows: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self._rows) if self.wrap else len(self.lines)

    def _reflow(self) -> None:
        self._rows = [row for n in range(len(self.lines)) for row in self._wrapped(n)] if self.wrap else []

    def _wrapped(self, n: int) -> list[tuple[int, int, int]]:
        line = self.lines[n]
        return [(n, start, end) for start, end in wrapped(line.text, self.width, line.indent)]

    def _row(self, row: int) -> tuple[int, int, int]:
        return self._rows[row] if self.wrap else (row, 0, len(self.lines[row].text))

    def _row_of(self, line: int) -> int:
        return bisect_left(self._rows, (line, 0, 0)) if self.wrap else line


def pattern(needle: str) -> re.Pattern[str]:
    """Finds a text as typed, whatever its case."""
    return re.compile(re.escape(needle), re.IGNORECASE)


def wrapped(text: str, width: int, indent: int) -> list[tuple[int, int]]:
    """Where to break a line: ranges of characters, the rows after the first `indent` cells narrower."""
    rows, start, room = [], 0, max(1, width)
    while start < len(text):
        end = start + fitting(text, start, room)
        space = text.rfind(" ", start + 1, end + 1) if end < len(text) else -1
        if space > start + (end - start) // 2:
            end = space
        rows.append((start, end))
        start = end + (text[end : end + 1] == " ")
        room = max(min(SHORTEST, width), width - indent, 1)
    return rows or [(0, 0)]


def fitting(text: str, start: int, room: int) -> int:
    """How many characters from `start` on fit into so many cells; at least one."""
    piece = text[start : start + room]
    if piece.isascii():
        return len(piece)
    used = 0
    for n, character in enumerate(text[start:]):
        used += get_character_cell_size(character)
        if used > room:
            return max(1, n)
    return len(text) - start


def cut(text: str, width: int, more: str = "…") -> str:
    """The text in at most so many cells, with a sign where it is cut."""
    if width <= 0:
        return ""
    if len(text) <= width and cell_len(text) <= width:
        return text
    kept = text[: fitting(text, 0, width)] if width > 1 else ""
    while cell_len(kept) > width - 1:
        kept = kept[:-1]
    return kept + more

"""Lines of text and the rows they take in a width: wrapped, or one row each. Pure: no Textual, nothing is drawn."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field

from rich.cells import cell_len

from screens.widgets.wrapping import breaks

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
    if cell_len(text) <= width:
        return [(0, len(text))]
    room = max(1, width)
    starts = [0, *breaks(text, room, room - max(min(SHORTEST, room), room - indent))]
    ends = [*starts[1:], len(text)]
    return [(start, start + len(text[start:end].rstrip(" "))) for start, end in zip(starts, ends, strict=True)]

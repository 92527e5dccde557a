"""Lines of a text, cut into rows of a width, with what is searched for marked. No widget: `Reader` draws it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from screens.widgets.flow import pattern
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


class Document:
    """Lines and the rows they take."""

    def __init__(self) -> None:
        self.lines: Sequence[Line] = ()
        self.rows: list[Text] = []
        self.needle = ""
        self.found: list[int] = []
        self._starts: list[int] = []
        self._cut: dict[int, list[Text]] = {}  # rows of lines without a match, for the width they were cut to
        self._cut_for: tuple[int, bool] = (0, True)

    def replace(self, lines: Sequence[Line]) -> None:
        """Have these lines instead; lay them out afterwards."""
        self.lines = lines
        self._cut = {}
        self.find(self.needle)

    def find(self, needle: str) -> None:
        """Look for this, whatever its case; lay out afterwards to have it marked."""
        self.needle = needle
        looked = pattern(needle)
        self.found = [n for n, line in enumerate(self.lines) if looked.search(line.text.plain)] if needle else []

    def lay_out(self, width: int, *, wrap: bool) -> int:
        """Cut lines into rows; returns the longest one's cells."""
        if self._cut_for != (width, wrap):
            self._cut, self._cut_for = {}, (width, wrap)
        found = set(self.found)
        self.rows, self._starts = [], []
        for number in range(len(self.lines)):
            self._starts.append(len(self.rows))
            self.rows += self._rows_with(number) if number in found else self._rows_without(number)
        return width if wrap else max((cell_len(row.plain) for row in self.rows), default=0)

    def line_at(self, row: int) -> int:
        """The line a row belongs to."""
        return bisect_right(self._starts, row) - 1

    def rows_of(self, line: int) -> range:
        """The rows of a line."""
        return range(self._starts[line], (self._starts[line + 1 : line + 2] or [len(self.rows)])[0])

    def _rows_without(self, number: int) -> list[Text]:
        rows = self._cut.get(number)
        if rows is None:
            rows = self._cut[number] = self._cut_up(self.lines[number].text, self.lines[number].hang)
        return rows

    def _rows_with(self, number: int) -> list[Text]:
        marked = self.lines[number].text.copy()
        marked.highlight_words([self.needle], _FOUND, case_sensitive=False)
        return self._cut_up(marked, self.lines[number].hang)

    def _cut_up(self, text: Text, hang: int) -> list[Text]:
        width, wrap = self._cut_for
        return wrapped(text, width, hang) if wrap else [text]

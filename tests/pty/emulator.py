"""The part of a terminal that is needed to read what a wizard has drawn: a grid of characters, cursor moves, erasing."""

from __future__ import annotations

import re

from rich.cells import cell_len

_PIECE = re.compile(
    r"\x1b\[(?P<args>[0-9;?<>=$!]*)(?P<final>[@-~])"  # CSI
    r"|\x1b[\]P_^].*?(?:\x07|\x1b\\)"  # OSC, DCS, APC, PM
    r"|\x1b[()][0-9A-B]|\x1b[=>78cDEHMNOZ]"
    r"|(?P<control>[\x00-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)",
    re.DOTALL,
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?<>=$!]*|[\]P_^][^\x07\x1b]*|[()]?)?$")


class Emulator:
    """What is on the screen."""

    def __init__(self, columns: int, rows: int) -> None:
        self._rest = ""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """Start afresh in another size: the program draws everything again."""
        self.columns, self.rows = columns, rows
        self._cells = [[" "] * columns for _ in range(rows)]
        self._x = self._y = 0

    @property
    def text(self) -> str:
        """The screen, line by line."""
        return "\n".join("".join(line).rstrip() for line in self._cells)

    def feed(self, text: str) -> None:
        """Draw what was written."""
        text = self._rest + text
        cut = _UNFINISHED.search(text)
        text, self._rest = (text[: cut.start()], text[cut.start() :]) if cut else (text, "")
        for piece in _PIECE.finditer(text):
            if piece["text"]:
                self._write(piece["text"])
            elif piece["control"]:
                self._control(piece["control"])
            elif piece["final"]:
                self._sequence(piece["args"], piece["final"])

    def _write(self, text: str) -> None:
        for char in text:
            width = cell_len(char)
            if self._y < self.rows and self._x + width <= self.columns:
                self._cells[self._y][self._x] = char
                for extra in range(1, width):
                    self._cells[self._y][self._x + extra] = ""
            self._x += width

    def _control(self, char: str) -> None:
        if char == "\r":
            self._x = 0
        elif char == "\n":
            self._y = min(self._y + 1, self.rows - 1)
        elif char == "\b":
            self._x = max(0, self._x - 1)

    def _sequence(self, args: str, final: str) -> None:
        numbers = [int(n) if n.isdigit() else 0 for n in args.split(";")]
        if final in "Hf":
            row, column = (*numbers, 1, 1)[:2]
            self._y, self._x = max(row, 1) - 1, max(column if len(numbers) > 1 else 1, 1) - 1
        elif final in "ABCD":
            by = max(numbers[0], 1)
            self._y += {"A": -by, "B": by}.get(final, 0)
            self._x += {"C": by, "D": -by}.get(final, 0)
        elif final == "G":
            self._x = max(numbers[0], 1) - 1
        elif final == "J" and numbers[0] in (2, 3):
            self._cells = [[" "] * self.columns for _ in range(self.rows)]
        elif final == "K" and self._y < self.rows:
            self._cells[self._y][self._x :] = [" "] * (self.columns - self._x)

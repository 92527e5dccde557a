"""Rows of a table as lines: columns of fixed widths, cut and filled to the cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from screens.glyphs import Glyphs
from screens.widgets.cells import cut
from screens.widgets.flow import Line

GAP = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column's heading and width in cells; numbers stand on the right."""

    name: str
    width: int
    right: bool = False


def row_line(columns: Sequence[Column], cells: Sequence[str], roles: Sequence[str] = (), more: str = "…") -> Line:
    """One row. `roles`: how each cell is drawn, "" for plainly."""
    text, marks = "", list[tuple[int, int, str]]()
    for n, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        shown = cut(cell, column.width, more)
        blanks = " " * (column.width - cell_len(shown))
        text += " " * GAP if n else ""
        start = len(text)
        text += blanks + shown if column.right else shown + blanks
        if n < len(roles) and roles[n]:
            marks.append((start, len(text), roles[n]))
    return Line(text, tuple(marks))


def heading(columns: Sequence[Column], more: str = "…") -> str:
    """The line of headings."""
    return row_line(columns, [c.name for c in columns], more=more).text.rstrip()


def listed(parts: Sequence[str], glyphs: Glyphs) -> str:
    """Short facts on one line."""
    return (" · " if glyphs.todo == "·" else " | ").join(part for part in parts if part)


def rest(width: int, columns: Sequence[Column], flexible: int) -> int:
    """What is left for each of so many flexible columns beside the fixed ones."""
    fixed = sum(c.width + GAP for c in columns)
    return max(4, (width - fixed - GAP * (flexible - 1)) // max(1, flexible))

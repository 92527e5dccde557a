"""Texts of a fixed width in terminal cells: CJK characters take two."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size


def fit(text: str, width: int, more: str = "…") -> str:
    """The text filled up with blanks, or cut and marked with `more`, to exactly this many cells."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(set_cell_size(text, width - 1) + more, width)

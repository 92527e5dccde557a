"""Texts cut to a width in terminal cells, or filled up to it: CJK characters take two."""

from __future__ import annotations

from rich.cells import cell_len, get_character_cell_size, set_cell_size


def fit(text: str, width: int, more: str = "…") -> str:
    """The text filled up with blanks, or cut and marked with `more`, to exactly this many cells."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(set_cell_size(text, width - 1) + more, width)


def cut(text: str, width: int, more: str = "…") -> str:
    """The text in at most so many cells, with a sign where it is cut."""
    if width <= 0:
        return ""
    if len(text) <= width and cell_len(text) <= width:
        return text
    kept = text[: _fitting(text, 0, width)] if width > 1 else ""
    while cell_len(kept) > width - 1:
        kept = kept[:-1]
    return kept + more


def _fitting(text: str, start: int, room: int) -> int:
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

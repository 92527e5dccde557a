"""Widths in terminal cells: a Chinese character takes two, a combining one none."""

from __future__ import annotations

import re
import unicodedata

_NARROW = re.compile("[\x20-\x7e]*")
_PIECES = re.compile(r"[ -~]+|\s+|[^ -~\s]")
_CLOSING = "，。；：！？、）》」』】”’…"
"""Marks that never begin a line."""


def cells(text: str) -> int:
    """How many cells the text takes on a terminal."""
    return len(text) if _NARROW.fullmatch(text) else sum(map(_cell, text))


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def pad(text: str, width: int, *, right: bool = False) -> str:
    """The text filled with blanks to a width; longer texts stay as they are."""
    blanks = " " * max(0, width - cells(text))
    return blanks + text if right else text + blanks


def wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most this width; breaks at blanks and between Chinese characters."""
    lines, line = [], ""
    for piece in _breakable(text):
        if line and cells(line + piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece if line else piece.lstrip()
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def _breakable(text: str) -> list[str]:
    """Pieces that stay whole: words with the blank behind them, wide characters with the mark behind them."""
    pieces: list[str] = []
    for run in _PIECES.findall(" ".join(text.split())):
        parts = re.findall(r"\S+ ?| ", run) if _NARROW.fullmatch(run) else [run]
        for part in parts:
            if pieces and (part in _CLOSING or (part == " " and not pieces[-1].endswith(" "))):
                pieces[-1] += part
            else:
                pieces.append(part)
    return pieces

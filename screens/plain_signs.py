"""Frames, bars and signs in ASCII, whatever widget drew them; and nothing at all that the terminal can't show."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter

from stepflow_tui.bridge import WizardOptions

SIGNS = {
    **dict.fromkeys("─━┄┅┈┉╌╍╴╶╸╺▔▀▄", "-"),
    **dict.fromkeys("│┃┆┇┊┋╎╏║▏▎▍▌▋▊▉▐▕╷╵", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝╠╣╦╩╬┏┓┗┛┣┫┳┻╋", "+"),
    **dict(zip("▁▂▃▅▆▇", "_.-=+*", strict=True)),
    **dict.fromkeys("█▓▒■", "#"),
    **dict.fromkeys("░·", "."),
    **dict.fromkeys("→▸▶›»", ">"),
    **dict.fromkeys("←◂◀‹«", "<"),
    **dict.fromkeys("↑▲▴", "^"),
    **dict.fromkeys("↓▼▾", "v"),
    **dict.fromkeys("×✗✕✖", "x"),
    **dict.fromkeys("–—−═", "-"),
    **dict.fromkeys("“”„", '"'),
    **dict.fromkeys("‘’‚", "'"),
    **dict.fromkeys("•●◆", "*"),
    "✓": "+",
    "…": "~",
    "\u00a0": " ",
    "⭘": "o",
}
"""Sign → its stand-in, each one cell wide."""


class PlainSignsFilter(LineFilter):
    """Replaces signs by ASCII, and what the encoding lacks by question marks, cell by cell."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._shown = lru_cache(4096)(lambda text: _shown(text, encoding))

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same line in plain signs."""
        return [s if s.text.isascii() else Segment(self._shown(s.text), s.style, s.control) for s in segments]


class PlainSigns(App[Any]):
    """An app that can do without Unicode."""

    options: WizardOptions
    _plain: PlainSignsFilter | None = None

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own, then ours."""
        if not self.options.ascii:
            return super().get_line_filters()
        if self._plain is None:
            self._plain = PlainSignsFilter(self.options.encoding)
        return [*super().get_line_filters(), self._plain]


def _shown(text: str, encoding: str) -> str:
    return "".join(SIGNS.get(char) or _char(char, encoding) for char in text)


def _char(char: str, encoding: str) -> str:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return "?" * cell_len(char)
    return char

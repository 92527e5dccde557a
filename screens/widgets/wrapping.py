"""Lines of text cut to a width in terminal cells: at blanks, and between characters of scripts that have none."""

from __future__ import annotations

from rich.cells import cell_len, get_character_cell_size
from rich.text import Text

_CLOSING = "，。；：！？、）》」』】”’…"
"""Marks that never begin a line."""


def wrapped(text: Text, width: int, hang: int = 0) -> list[Text]:
    """The text in lines of at most `width` cells; continued lines are indented by `hang`. Styles stay where they are."""
    if width < 1 or cell_len(text.plain) <= width:
        return [text]
    hang = min(hang, width // 2)
    first, *rest = text.divide(_breaks(text.plain, width, hang))
    first.rstrip()
    lines = [first]
    for part in rest:
        part.rstrip()
        lines.append(Text(" " * hang).append_text(part))
    return lines


def _breaks(plain: str, width: int, hang: int) -> list[int]:
    """Where a new line begins."""
    found: list[int] = []
    start, best, used, room = 0, 0, 0, width
    first = len(plain) - len(plain.lstrip(" "))
    for at, character in enumerate(plain):
        if at > max(start, first) and _may_begin(plain, at):
            best = at
        if character == " ":  # blanks at the end of a line may hang over: they are cut
            used += 1
            continue
        size = get_character_cell_size(character)
        if used + size > room and at > start:
            room = width - hang
            whole_word = best > start and cell_len(plain[best:at]) + size <= room
            start = best if whole_word else at
            found.append(start)
            used = cell_len(plain[start:at])
        used += size
    return found


def _may_begin(plain: str, at: int) -> bool:
    """Whether a line may begin with this character."""
    before, here = plain[at - 1], plain[at]
    if here == " " or here in _CLOSING:
        return False
    return before == " " or get_character_cell_size(before) == 2 or get_character_cell_size(here) == 2

"""Lines of text cut to a width in terminal cells: at blanks, and between characters of scripts that have none."""

from __future__ import annotations

from rich.cells import cell_len, get_character_cell_size
from rich.text import Text

_CLOSING = "，。；：！？、）》」』】”’…"
"""Marks that never begin a line."""
_OPENING = "（《「『【“‘"
"""Marks that never end one."""


def wrapped(text: Text, width: int, hang: int = 0) -> list[Text]:
    """The text in lines of at most `width` cells; continued lines are indented by `hang`. Styles stay where they are."""
    if width < 1 or cell_len(text.plain) <= width:
        return [text]
    hang = min(hang, width // 2)
    first, *rest = text.divide(breaks(text.plain, width, hang))
    first.rstrip()
    lines = [first]
    for part in rest:
        part.rstrip()
        lines.append(Text(" " * hang).append_text(part))
    return lines


def breaks(plain: str, width: int, hang: int = 0) -> list[int]:
    """Where a new line begins; blanks before it are cut. Lines after the first have `hang` cells less."""
    return (_breaks_of_ascii if plain.isascii() else _breaks_of_any)(plain, width, hang)


def _breaks_of_ascii(plain: str, width: int, hang: int) -> list[int]:
    """The same for texts whose characters take one cell each: most of what is shown, and statements of any length."""
    found: list[int] = []
    start, room, end = 0, width, len(plain.rstrip(" "))
    blanks = len(plain) - len(plain.lstrip(" "))
    while end - start > room:
        blank = plain.rfind(" ", max(start, blanks) + 1, start + room + 1)
        start = start + room if blank < 0 else blank + 1
        while plain[start] == " ":
            start += 1
        found.append(start)
        room = width - hang
    return found


def _breaks_of_any(plain: str, width: int, hang: int) -> list[int]:
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
    if here == " " or here in _CLOSING or before in _OPENING:
        return False
    return before == " " or get_character_cell_size(before) == 2 or get_character_cell_size(here) == 2

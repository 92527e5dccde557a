"""Any text: a regular expression that must match exactly once. `^` and `$` are the ends of lines, however these are written."""

from __future__ import annotations

import re
from bisect import bisect_left

from stepflow_tui.engine.application.settings_files.base import Splice, Unfit

SHOWN = 3
"""Lines that are named when a pattern matches more than once."""


def matched(text: str, pattern: str, wanted: str) -> Splice:
    """The change of a pattern's only match: its group `value`, else all of it.

    Raises:
        Unfit: it matches nowhere, more than once, or nothing at all.
    """
    plain = text.replace("\r\n", "\n")  # else `.*$` would take half of a line end along
    found = list(re.compile(pattern, re.MULTILINE).finditer(plain))
    if not found:
        raise Unfit(
            "setting_pattern_none",
            "the pattern matches nowhere",
            "correct it; `.` is no line end, ^ and $ are ends of lines",
        )
    if len(found) > 1:
        lines = ", ".join(str(plain.count("\n", 0, m.start()) + 1) for m in found[:SHOWN])
        raise Unfit("setting_pattern_twice", f"the pattern matches {len(found)} times (lines {lines}{', …' if len(found) > SHOWN else ''})",
                    "write more of the text around it into the pattern, so that it matches once")  # fmt: skip
    match = found[0]
    group = "value" if "value" in match.re.groupindex else 0
    if match.start(group) < 0 or match.start() == match.end():
        raise Unfit(
            "setting_pattern_none",
            "the pattern matches nothing that could be replaced",
            "give the group `value` some text",
        )
    start, end = _within(text, *match.span(group))
    begin, stop = _lines(text, *_within(text, *match.span()))
    new = text[begin:start] + wanted + text[end:stop]
    return Splice(
        key=name_before(text, start),
        start=start,
        end=end,
        text=wanted,
        old=text[start:end],
        new=wanted,
        whole=(text[begin:stop], new),
    )


def _within(text: str, *places: int) -> list[int]:
    """Places in the text with single line ends, as places in the text itself."""
    ends = [m.start() - n for n, m in enumerate(re.finditer("\r\n", text))]
    return [place + bisect_left(ends, place) for place in places]


def _lines(text: str, start: int, end: int) -> tuple[int, int]:
    """The whole lines around: an undo must not take a like word elsewhere for the one that was put in."""
    stop = text.find("\n", end)
    return text.rfind("\n", 0, start) + 1, len(text) if stop < 0 else stop


def name_before(text: str, at: int) -> str:
    """What the line calls the value: its last word before it, for people."""
    before = text[text.rfind("\n", 0, at) + 1 : at]
    words = re.findall(r"[A-Za-z_][\w.\-]*", before)
    return words[-1] if words else "text"

"""What a terminal sends, named as `keymap:` and the wizard name keys. Knows xterm's sequences, which nearly all send."""

from __future__ import annotations

import re
from contextlib import suppress

from stepflow_tui.keymap import key_name

_LETTERS = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "P": "f1", "Q": "f2", "R": "f3", "S": "f4",
            "Z": "shift+tab"}  # fmt: skip
_NUMBERS = {1: "home", 2: "insert", 3: "delete", 4: "end", 5: "pageup", 6: "pagedown", 7: "home", 8: "end",
            11: "f1", 12: "f2", 13: "f3", 14: "f4", 15: "f5", 17: "f6", 18: "f7", 19: "f8", 20: "f9", 21: "f10", 23: "f11",
            24: "f12"}  # fmt: skip
_PLAIN = {
    b"\x1b": "escape",
    b"\r": "enter",
    b"\n": "ctrl+j",
    b"\t": "tab",
    b" ": "space",
    b"\x7f": "backspace",
    b"\x00": "ctrl+space",
}
_SEQUENCE = re.compile(rb"\x1b(?:\[|O)(?:(\d+)(?:;(\d+))?)?([A-Za-z~])")


def name_of(sent: bytes) -> str:
    """The key that these bytes stand for, "" where that isn't known."""
    if sent in _PLAIN:
        return _PLAIN[sent]
    if len(sent) == 1 and sent[0] < 32:
        return "ctrl+" + (chr(sent[0] + 96) if sent[0] < 27 else key_name("[\\]^_"[sent[0] - 27]))
    match = _SEQUENCE.fullmatch(sent)
    if match:
        return _sequence(match)
    if sent.startswith(b"\x1b"):
        rest = name_of(sent[1:])
        return f"alt+{rest}" if rest and "+" not in rest else ""
    with suppress(UnicodeDecodeError):
        text = sent.decode()
        return key_name(text) if len(text) == 1 and text.isprintable() else ""
    return ""


def _sequence(match: re.Match[bytes]) -> str:
    number, modifier, last = match[1], match[2], match[3].decode()
    base = _NUMBERS.get(int(number), "") if last == "~" and number else _LETTERS.get(last, "")
    if not base:
        return ""
    held = int(modifier or b"1") - 1
    names = [name for bit, name in ((4, "ctrl"), (2, "alt"), (1, "shift")) if held & bit]
    return "+".join([*names, base])

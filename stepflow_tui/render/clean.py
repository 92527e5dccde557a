"""Data as text that a terminal shows and doesn't obey: names and values from databases may hold escapes."""

from __future__ import annotations

import re

# C0 without tab and newline, DEL, C1; bidirectional marks, embeddings, overrides and isolates
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text without control characters; only newline and tab stay."""
    return _CONTROL.sub("", text).encode("utf-8", "backslashreplace").decode()


def clean_line(text: str) -> str:
    """The text on one line, without control characters."""
    return clean(text.replace("\r\n", " ").replace("\n", " ").replace("\t", " "))

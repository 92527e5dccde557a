"""Styled pieces of a line: joined, and cut to the cells there are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.text import Text


def cut_text(text: Text, width: int, more: str) -> Text:
    """The styled text in at most `width` cells."""
    if text.cell_len <= width:
        return text
    shorter = text.copy()
    shorter.truncate(max(0, width - 1), overflow="crop")
    shorter.rstrip()
    return shorter.append(more) if width > 0 else Text()


def joined(parts: Iterable[str | Text], separator: str) -> Text:
    """Parts with a separator between them; empty ones are left out."""
    return Text(separator, "dim").join([p if isinstance(p, Text) else Text(p) for p in parts if p])


def clock(now: datetime, *, seconds: bool = True) -> str:
    """The time of day as the log and the reports write it: UTC."""
    return now.strftime("%H:%M:%S" if seconds else "%H:%M")

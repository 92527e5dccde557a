"""Owns "did you mean": the name that is closest to one that does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """The closest known name, else the beginning of the list; for a hint, in words."""
    names = list(known)
    folded = {n.lower(): n for n in names}
    close = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {folded[close[0]]}?"
    return f"there are: {', '.join(sorted(names)[:10])}" if names else "there are none"

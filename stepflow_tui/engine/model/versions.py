"""What is known about versions of the SQLite library."""

from __future__ import annotations

import re

Version = tuple[int, int, int]

_BACKPORTS: tuple[Version, ...] = ((3, 44, 6), (3, 50, 7))
"""Releases of older branches that carry the fix."""


def has_wal_reset_bug(version: Version) -> bool:
    """3.7.0 to 3.51.2, without the releases that got the fix later (their branch from there on)."""
    if any(version[:2] == fixed[:2] and version >= fixed for fixed in _BACKPORTS):
        return False
    return (3, 7, 0) <= version <= (3, 51, 2)


def version_of(text: str) -> Version:
    """`3.40.1` → (3, 40, 1); missing numbers are 0, what follows them (`rc1`, `.post2`) doesn't count."""
    numbers = [int(n) for n in re.findall(r"\d+", re.split(r"[^\d.]", text, maxsplit=1)[0])[:3]]
    first, second, third = (*numbers, 0, 0, 0)[:3]
    return first, second, third


def older(version: str, than: str) -> bool:
    """Whether a version is older than another, by all its numbers."""
    mine, other = (
        tuple(int(n) for n in re.findall(r"\d+", re.split(r"[^\d.]", v, maxsplit=1)[0])) for v in (version, than)
    )
    length = max(len(mine), len(other))
    return mine + (0,) * (length - len(mine)) < other + (0,) * (length - len(other))

"""What is known about versions of the SQLite library."""

from __future__ import annotations

Version = tuple[int, int, int]

_BACKPORTS: tuple[Version, ...] = ((3, 44, 6), (3, 50, 7))
"""Releases of older branches that carry the fix."""


def has_wal_reset_bug(version: Version) -> bool:
    """3.7.0 to 3.51.2, without the releases that got the fix later (their branch from there on)."""
    if any(version[:2] == fixed[:2] and version >= fixed for fixed in _BACKPORTS):
        return False
    return (3, 7, 0) <= version <= (3, 51, 2)

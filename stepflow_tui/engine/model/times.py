"""Times as people and scripts read them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso_utc(at_ms: int) -> str:
    """Milliseconds since 1970 as `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

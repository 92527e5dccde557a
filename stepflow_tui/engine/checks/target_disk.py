"""Is there room for the rows on the target's disk?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_disk"
USUAL_FACTOR = 2.5
"""Tables, indexes and write-ahead log of a copy, in multiples of the SQLite file."""


async def run(target: TargetView) -> list[Finding]:
    """Known only where the server runs on this machine; otherwise nothing is claimed."""
    size, free = target.wanted.source_bytes, target.free_bytes
    if target.error is not None or free is None or free >= size * USUAL_FACTOR:
        return []
    tell = blocking if free < size else warning
    return [
        tell(
            "target_disk",
            target.target.describe(),
            free_bytes=free,
            needed_bytes=round(size * USUAL_FACTOR),
            source_bytes=size,
        )
    ]

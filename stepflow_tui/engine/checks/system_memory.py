"""Is there memory for the engine and its workers?"""

from __future__ import annotations

import psutil

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, warning

NEEDED_BYTES = 256 * 1024 * 1024
"""Engine and workers take at most 150 MB; the rest is for file cache."""


async def run(ctx: CheckContext) -> list[Finding]:
    """A warning below the recommended amount."""
    available = psutil.virtual_memory().available
    return (
        []
        if available >= NEEDED_BYTES
        else [warning("memory_low", None, available_bytes=available, needed_bytes=NEEDED_BYTES)]
    )

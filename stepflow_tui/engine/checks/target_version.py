"""Is the server new enough?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_version"
OLDEST = 140_000
"""PostgreSQL 14, the oldest version that still gets fixes."""


async def run(target: TargetView) -> list[Finding]:
    """Older servers lack what the copy relies on."""
    if target.error is not None or target.version_number >= OLDEST:
        return []
    return [blocking("target_version", target.target.describe(), version=target.version, oldest=OLDEST // 10_000)]

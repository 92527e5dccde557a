"""Does the server take writes?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_writable"


async def run(target: TargetView) -> list[Finding]:
    """Standbys and read-only sessions don't."""
    if target.error is not None:
        return []
    if target.in_recovery:
        return [blocking("target_standby", target.target.describe())]
    return [blocking("target_read_only", target.target.describe(), user=target.user)] if target.read_only else []

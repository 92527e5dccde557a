"""Are there enough connections left?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_connections"


async def run(target: TargetView) -> list[Finding]:
    """Server, role and database each have a limit. Our own look counts as used: it is closed before the run begins."""
    if target.error is not None or target.limits.free + 1 >= target.wanted.connections:
        return []
    limits = target.limits
    return [
        blocking(
            "target_connections",
            target.target.describe(),
            free=limits.free + 1,
            needed=target.wanted.connections,
            used=limits.server_used - 1,
            server_limit=limits.server,
            role_limit=limits.role,
            database_limit=limits.database,
        )
    ]

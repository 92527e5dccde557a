"""Is there a connection pooler in between that would break sessions?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking, info
from stepflow_tui.engine.postgres.view import Pooler, TargetView

NAME = "target_pooler"


async def run(target: TargetView) -> list[Finding]:
    """A pooler that changes servers between transactions loses settings and locks of a session."""
    if target.error is not None or target.pooler is Pooler.NONE:
        return []
    tell = blocking if target.pooler is Pooler.TRANSACTION else info
    return [tell(f"target_pooler_{target.pooler.value}", target.target.describe())]

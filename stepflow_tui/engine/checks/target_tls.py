"""Can somebody on the way read along, or stand in for the server?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, info, warning
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_tls"


async def run(target: TargetView) -> list[Finding]:
    """Only for servers beyond this machine."""
    if target.error is not None or target.target.is_local:
        return []
    sslmode = target.target.sslmode
    if not target.encrypted:
        return [warning("target_unencrypted", target.target.describe(), sslmode=sslmode)]
    return [] if sslmode == "verify-full" else [info("target_unproved", target.target.describe(), sslmode=sslmode)]

"""Does another run own the target?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_owner"


async def run(target: TargetView) -> list[Finding]:
    """One run per target: its marker must be ours, and made on this very server."""
    owner = target.owner
    if target.error is not None or owner is None:
        return []
    if owner.run not in target.wanted.own_runs:
        return [blocking("target_owned", target.target.describe(), run=owner.run, schema=owner.target_schema)]
    if owner.system_identifier != target.system_identifier:
        return [
            blocking(
                "target_other_server",
                target.target.describe(),
                run=owner.run,
                marked=owner.system_identifier,
                found=target.system_identifier,
            )
        ]
    return []

"""Does the target have the types that the config asks for?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_types"


async def run(target: TargetView) -> list[Finding]:
    """Each line under `types` whose type the server refuses; a plan with it would fail at the first table."""
    wanted = target.wanted.types
    return [
        blocking("config_type_not_there", place, key=place, type=wanted[place], reason=reason)
        for place, reason in target.refused_types.items()
    ]

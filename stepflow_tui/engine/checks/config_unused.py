"""Does the config ask for something that this version, or this mode, does not do?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.config_application import Alerts, Application
from stepflow_tui.engine.model.finding import Finding, warning
from stepflow_tui.engine.model.state import PhaseName

_LIVE_ONLY = frozenset(
    {PhaseName.CAPTURE, PhaseName.SWITCH_READS, PhaseName.CUTOVER, PhaseName.OBSERVE, PhaseName.CLEANUP}
)
LACKING: dict[Mode, frozenset[PhaseName]] = {
    Mode.COPY: _LIVE_ONLY,
    Mode.LIVE: frozenset(),
    Mode.OFFLINE: frozenset({PhaseName.SWITCH_READS}),
}
"""Phases that a mode leaves out: a hook written for one of them is never run."""


async def run(ctx: CheckContext) -> list[Finding]:
    """One warning per section: an operator who wrote it down must not think that it happens."""
    return [warning("config_not_used", key, key=key, mode=ctx.config.mode.value) for key in unused(ctx.config)]


def unused(config: Config) -> list[str]:
    """Sections that are filled in and that nothing reads in this mode."""
    found = []
    if config.application != Application():
        found.append("application")
    hooked = (phase for phase, both in config.hooks.items() if both.before or both.after)
    found += [f"hooks.{phase.value}" for phase in hooked if phase in LACKING[config.mode]]
    if config.alerts != Alerts():
        found.append("alerts")
    if config.mode is not Mode.LIVE:
        found += [f"verify.{key}" for key in ("rules", "invariants") if getattr(config.verify, key)]
    return found

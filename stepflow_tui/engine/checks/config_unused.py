"""Does the config ask for something that this version, or this mode, does not do?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.config_application import Alerts, Application
from stepflow_tui.engine.model.finding import Finding, warning


async def run(ctx: CheckContext) -> list[Finding]:
    """One warning per section: an operator who wrote it down must not think that it happens."""
    return [warning("config_not_used", key, key=key, mode=ctx.config.mode.value) for key in unused(ctx.config)]


def unused(config: Config) -> list[str]:
    """Sections that are filled in and that nothing reads in this mode."""
    found = []
    if config.application != Application():
        found.append("application")
    if any(both.before or both.after for both in config.hooks.values()):
        found.append("hooks")
    if config.alerts != Alerts():
        found.append("alerts")
    return found

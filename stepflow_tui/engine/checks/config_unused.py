"""Does the config ask for something that this version, or this mode, does not do?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config import Capture, Config, Cutover, Mode, SwitchReads
from stepflow_tui.engine.model.config_application import Alerts
from stepflow_tui.engine.model.config_wal import Requirements
from stepflow_tui.engine.model.finding import Finding, warning
from stepflow_tui.engine.model.state import PhaseName

_LIVE_ONLY = frozenset(
    {PhaseName.CAPTURE, PhaseName.SWITCH_READS, PhaseName.CUTOVER, PhaseName.OBSERVE, PhaseName.CLEANUP}
)
LACKING: dict[Mode, frozenset[PhaseName]] = {
    Mode.COPY: _LIVE_ONLY,
    Mode.LIVE: frozenset(),
    Mode.OFFLINE: frozenset({PhaseName.SWITCH_READS}),
    Mode.IN_PLACE: frozenset({PhaseName.CAPTURE, PhaseName.BACKFILL, PhaseName.SWITCH_READS, PhaseName.CLEANUP}),
}
"""Phases that a mode leaves out: a hook written for one of them is never run. (sqlite-wal has the same in both its modes.)"""

_OF_A_TARGET = ("target", "tables", "types", "copying", "switch", "capture")
"""Sections about the other side of a copy."""


async def run(ctx: CheckContext) -> list[Finding]:
    """One warning per section: an operator who wrote it down must not think that it happens."""
    if ctx.config.in_place:
        return [warning("wal_not_used", key, key=key) for key in unused(ctx.config)]
    return [warning("config_not_used", key, key=key, mode=ctx.config.mode.value) for key in unused(ctx.config)]


def unused(config: Config) -> list[str]:
    """Sections that are filled in and that nothing reads in this mode."""
    if config.in_place:
        return _in_place(config)
    found = []
    if config.mode is Mode.COPY:
        found += [f"application.{key}" for key in ("switches", "recipe") if getattr(config.application, key)]
        # the application works on the source still: what a probe writes there would change it
        found += [f"application.probes.{probe.name}" for probe in config.application.probes if probe.create is not None]
    found += _hooks(config, LACKING[config.mode])
    if config.alerts != Alerts():
        found.append("alerts")
    if config.mode is Mode.OFFLINE:
        found += _only_live(config)
    if config.mode is not Mode.LIVE:
        found += [f"verify.{key}" for key in ("rules", "invariants") if getattr(config.verify, key)]
    return found + _only_in_place(config)


def _only_in_place(config: Config) -> list[str]:
    """What is looked at, or changed, only where the database stays in its place."""
    found = [f"wal.{key}" for key in ("page_size", "auto_vacuum", "probe") if getattr(config.wal, key) is not None]
    found += [f"application.{key}" for key in ("python", "sqlite") if getattr(config.application, key) is not None]
    return [*found, "requirements"] if config.requirements != Requirements() else found


def _hooks(config: Config, lacking: frozenset[PhaseName]) -> list[str]:
    hooked = (phase for phase, both in config.hooks.items() if both.before or both.after)
    return [f"hooks.{phase.value}" for phase in hooked if phase in lacking]


def _in_place(config: Config) -> list[str]:
    """What speaks of a target, of moving rows, or of a window where the application goes on."""
    fields = type(config).model_fields
    if config.database_env is not None:  # `DATABASE_URL` of the application says nothing about what this run shall do
        config = config.model_copy(update={"target": config.target.model_copy(update={"dsn": None})})
    found = [fields[k].alias or k for k in _OF_A_TARGET if getattr(config, k) != fields[k].default]
    used = {"at", "window"} if config.mode is Mode.OFFLINE else set()
    unread = [k for k in Cutover.model_fields if k not in used]
    found += [f"cutover.{k}" for k in unread if getattr(config.cutover, k) != getattr(Cutover(), k)]
    found += [f"verify.{k}" for k in ("rules", "invariants") if getattr(config.verify, k)]
    found += ["sensitive"] if config.sensitive else []
    found += ["application.pool"] if config.application.pool is not None else []
    found += _hooks(config, LACKING[Mode.IN_PLACE])
    return [*found, "alerts"] if config.alerts != Alerts() else found


def _only_live(config: Config) -> list[str]:
    """Keys that lead what goes on while the application writes: in a window it stands still. (`capture.budget` bounds the log
    of the way back too.)"""
    found = [] if config.switch == SwitchReads() else ["switch"]
    found += [f"capture.{k}" for k in ("keep", "uncapturable") if getattr(config.capture, k) != getattr(Capture(), k)]
    return found + [
        f"cutover.{k}" for k in ("max_freeze", "retries") if getattr(config.cutover, k) != getattr(Cutover(), k)
    ]

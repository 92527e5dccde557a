"""Can every setting be switched? Worked out with stand-ins for the target's values, long before anything happens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from stepflow_tui.engine.application.places import as_released, settings_beside, settings_inside
from stepflow_tui.engine.application.settings import DUMMY_VALUES, DiffLine, plan_edits
from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.config_application import Application, Switch
from stepflow_tui.engine.model.finding import Finding, blocking, info

_TARGET_VALUE = re.compile(r"\{(target_\w+)\}")


async def run(ctx: CheckContext) -> list[Finding]:
    """Everything that would make the switch fail blocks now; else what will change is listed, file by file."""
    if ctx.config.mode is Mode.COPY or not ctx.config.application.switches:
        return []
    if ctx.config.in_place and (found := _of_a_target(ctx.config.application)):
        return found
    return await asyncio.to_thread(lambda: _tried(_meant(ctx.config.application)))


def _of_a_target(application: Application) -> list[Finding]:
    """Switches that need a value of the target where there is none."""
    found = []
    for switch in application.switches:
        texts = [*switch.assignments.values(), *([switch.to] if switch.to is not None else [])]
        names = sorted({n for text in texts for n in _TARGET_VALUE.findall(text.get_secret_value())})
        if names:
            found.append(blocking("wal_switch_target", switch.file.name, names=", ".join(names)))
    return found


def _meant(application: Application) -> Sequence[Switch]:
    """The switches; of files that come with a new version, in that version."""
    inside = settings_inside(application)
    return (*settings_beside(application, inside), *as_released(application, inside))


def _tried(switches: Sequence[Switch]) -> list[Finding]:
    """Each setting by itself, so that all problems are seen at once; then all together."""
    refused: dict[str, Refused] = {}
    for switch in [s for many in switches for s in _each(many)]:
        try:
            plan_edits([switch], DUMMY_VALUES)
        except Refused as error:
            refused.setdefault(error.message, error)
    if not refused:
        try:
            return [_listed(edit.file.name, edit.lines) for edit in plan_edits(switches, DUMMY_VALUES)]
        except Refused as error:
            refused[error.message] = error
    return [
        blocking("application_switch", e.code, problem=e.code, message=e.message, hint=e.hint) for e in refused.values()
    ]


def _each(switch: Switch) -> list[Switch]:
    keys = switch.assignments
    return [switch.model_copy(update={"assignments": {k: v}}) for k, v in keys.items()] if keys else [switch]


def _listed(name: str, lines: Sequence[DiffLine]) -> Finding:
    names = ", ".join(f"{line.key} (line {line.line})" for line in lines)
    return info("application_switches", name, count=len(lines), names=names)

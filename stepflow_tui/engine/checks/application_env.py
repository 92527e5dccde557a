"""Is the application's file of environment variables complete, and fit for the environment it is meant for?

It is judged as it will be after the switch. Findings name variables, never values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from stepflow_tui.engine.application.env_file import EnvProblems, differences, matches, problems
from stepflow_tui.engine.application.settings import DUMMY_VALUES, Edit, plan_edits
from stepflow_tui.engine.application.settings_files import Unfit
from stepflow_tui.engine.application.settings_place import contents_of
from stepflow_tui.engine.application.settings_plan import decoded
from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.config_application import EnvFile
from stepflow_tui.engine.model.finding import Finding, blocking, info, warning

SHOWN = 20
"""Names that one finding lists."""
Tell = Callable[..., Finding]


async def run(ctx: CheckContext) -> list[Finding]:
    """What breaks a rule blocks in production, and warns elsewhere."""
    if ctx.config.application.env is None:
        return []
    return await asyncio.to_thread(_judged, ctx.config, ctx.config.application.env)


def in_force(config: Config) -> tuple[bool, str] | None:
    """After the switch: whether the file that stands now keeps its rules, and a note. None without rules.

    Args:
        config: the run's config.
    """
    rules = config.application.env
    if rules is None:
        return None
    try:
        found = problems(_text(rules.file), rules)
    except (Refused, Unfit):
        return False, f"{rules.file.name} can't be read"
    broken = _all_names(found)
    return (
        not found.grave,
        f"{found.checked} variables keep the rules" if not found.grave else f"against the rules: {broken}",
    )


def _judged(config: Config, rules: EnvFile) -> list[Finding]:
    name, tell = str(rules.file), blocking if config.production else warning
    edits = planned(config)
    try:
        text = next((decoded(e.after) for e in edits if e.place.real == rules.file.resolve()), None) or _text(
            rules.file
        )
    except (Refused, Unfit) as error:
        return [tell("env_not_readable", name, reason=str(getattr(error, "message", error)))]
    found = problems(text, rules)
    findings = [*_broken(found, rules, name, tell), *_compared(text, rules, name)]
    return [*findings, *_rebuilt(config, rules, text, edits), info("env_checked", name, count=found.checked)]


def planned(config: Config) -> tuple[Edit, ...]:
    """The switches' changes as far as they can be worked out without the target; () where the mode has no switch.

    Why they can't be is told by the check of the switches.
    """
    if config.mode is Mode.COPY:
        return ()
    edits: list[Edit] = []
    for file in dict.fromkeys(s.file for s in config.application.switches):
        with suppress(Refused):
            edits += plan_edits([s for s in config.application.switches if s.file == file], DUMMY_VALUES)
    return tuple(edits)


def _broken(found: EnvProblems, rules: EnvFile, name: str, tell: Tell) -> list[Finding]:
    told = []
    if found.missing:
        told.append(_told(tell, "env_missing", name, found.missing))
    if found.placeholders:
        told.append(_told(tell, "env_placeholder", name, found.placeholders))
    if found.weak:
        told.append(_told(tell, "env_weak", name, found.weak))
    if short := [n for n in found.short if n not in found.weak and n not in found.placeholders]:
        told.append(_told(tell, "env_short", name, short, minimum=rules.min_secret))
    if found.not_demanded:
        told.append(_told(tell, "env_not_demanded", name, found.not_demanded))
    if found.twice:
        told.append(_told(warning, "env_twice", name, found.twice))
    if found.empty:
        told.append(_told(info, "env_empty", name, found.empty))
    return told


def _compared(text: str, rules: EnvFile, name: str) -> list[Finding]:
    if rules.compare is None:
        return []
    other = str(rules.compare)
    try:
        found = differences(text, _text(rules.compare))
    except (Refused, Unfit) as error:
        return [warning("env_not_readable", other, reason=str(getattr(error, "message", error)))]
    told = []
    if found.only_there:
        told.append(_told(warning, "env_only_there", name, found.only_there, other=other))
    if found.only_here or found.different:
        told.append(
            info("env_differences", name, other=other, here=_names(found.only_here), different=_names(found.different))
        )
    return told


def _rebuilt(config: Config, rules: EnvFile, text: str, edits: Sequence[Edit]) -> list[Finding]:
    """Variables that are built in and get another value: by a switch, or against the file that is compared."""
    changed = {key.rpartition(".")[2] for edit in edits for key in edit.keys}
    if rules.compare is not None:
        try:
            changed |= set(differences(text, _text(rules.compare)).different)
        except (Refused, Unfit):
            changed |= set()  # told already
    names = sorted(n for n in changed if matches(n, rules.rebuild))
    if not names:
        return []
    builds = config.mode is not Mode.COPY and any(r.build for r in config.application.recipe)
    return [
        _told(info if builds else warning, "env_rebuild" if builds else "env_rebuild_missing", str(rules.file), names)
    ]


def _text(file: Path) -> str:
    return decoded(contents_of(file))


def _told(tell: Tell, code: str, name: str, names: Sequence[str], **more: str | int) -> Finding:
    return tell(code, name, names=_names(names), count=len(names), **more)


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def _all_names(found: EnvProblems) -> str:
    return _names(sorted({*found.missing, *found.placeholders, *found.weak, *found.short, *found.not_demanded}))

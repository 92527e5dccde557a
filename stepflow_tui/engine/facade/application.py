"""The application's side, looked at from outside a run: what a switch would change, and whether it is healthy now.

Nothing here changes anything, needs an engine, or shows a value of a setting.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from stepflow_tui.engine.application.asking import shown
from stepflow_tui.engine.application.health import ask, what_of
from stepflow_tui.engine.application.places import as_released, settings_beside, settings_inside
from stepflow_tui.engine.application.recipes import recipes_of
from stepflow_tui.engine.application.recipes.base import Recipe, Standing
from stepflow_tui.engine.application.settings import changed_lines, plan_edits
from stepflow_tui.engine.config import config_of
from stepflow_tui.engine.errors import ExitCode, StepFlowError
from stepflow_tui.engine.model.redact import Redact, redactor
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.steps.application.values import source_values, target_values

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig
    from stepflow_tui.engine.model.config import Config

SETTINGS = "settings"
"""The action between stopping and deploying that no recipe does."""
LONG_ENOUGH = 8
"""Shorter values (`true`, `8000`) would blot out ordinary words; settings are never shown anyway."""


async def application_plan(loaded: LoadedConfig, *, look: bool = False) -> dict[str, Any]:
    """What the switch of the application would change, in which order, and how it would be taken back.

    Args:
        loaded: the config.
        look: have the recipes look at what stands now, too: they refuse what could not be put back, and missing tools.

    Returns:
        mode configured settings[{file lines[{line key before after}]}] commands[{recipe action text}] health[…] probes[…]
        availability problems[{code message detail hint}] found[{recipe what running version pid since}] exit_code. Secrets are hidden. `exit_code`: 0, or 4 where
        something stands in the way.
    """
    application = loaded.config.application
    redact = redactor_of(loaded.config)
    problems: list[dict[str, str]] = []
    settings = await asyncio.to_thread(_settings, loaded, problems, redact)
    with tempfile.TemporaryDirectory(prefix="stepflow-") as keep:
        recipes = _recipes(loaded, Path(keep), redact, problems)
        commands = list(_commands(recipes, sum(len(file["lines"]) for file in settings), redact))
        found = await _look(recipes, redact, problems) if look else []
    return {
        "mode": loaded.config.mode.value,
        "configured": bool(application.model_fields_set),
        "settings": settings,
        "commands": commands,
        "health": [redact(what_of(check)) for check in application.health],
        "probes": [probe.name for probe in application.probes],
        "availability": None if application.availability is None else shown(application.availability.http),
        "problems": problems,
        "found": found,
        "exit_code": int(ExitCode.REFUSED if problems else ExitCode.OK),
    }


async def application_trial(text: str, path: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """`application_plan` with a look, of a config that is not written yet.

    Args:
        text: the config.
        path: where it is going to be; relative paths in it are relative to that folder.
        env: the environment for `${VAR}`.

    Raises:
        ConfigError: the config can't be used.
    """
    return await application_plan(config_of(text.encode(), path.absolute(), env), look=True)


async def application_health(loaded: LoadedConfig) -> list[dict[str, Any]]:
    """Every health check asked once, now, all at the same time: {what ok reason seconds status}."""
    config, redact = loaded.config, redactor_of(loaded.config)

    async def sql(statement: str) -> Any:
        connection = await _target(config).connect()
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    checks = config.application.health
    answers = await asyncio.gather(*(ask(c, sql=sql, folder=loaded.path.parent, redact=redact) for c in checks))
    return [{"what": a.what, "ok": a.ok, "reason": a.reason, "seconds": a.seconds, "status": a.status} for a in answers]


def _target(config: Config) -> Target:
    """The new side as the config names it. The embedded server's address is known once it runs; a word stands for it here."""
    if config.target.embedded:
        return Target(hosts=(("embedded", 5432),), database=config.name, user="stepflow")
    dsn = config.target.dsn.get_secret_value() if config.target.dsn is not None else None
    return Target.from_config(dsn, os.environ, schema=config.target.schema_name)


def _settings(loaded: LoadedConfig, problems: list[dict[str, str]], redact: Redact) -> list[dict[str, Any]]:
    """What changes in each file; of files that come with a new version, in that version."""
    config = loaded.config
    if not config.application.switches:
        return []
    try:
        source = config.source.path
        values = source_values(source) if config.in_place else target_values(_target(config), source)
        inside = settings_inside(config.application)
        meant = (*settings_beside(config.application, inside), *as_released(config.application, inside))
        edits = plan_edits(meant, values)
    except StepFlowError as error:
        problems.append(_problem(error, redact))
        return []
    return [
        {
            "file": redact(str(edit.file)),
            "lines": [
                {"line": d.line, "key": d.key, "before": d.old, "after": d.new}
                for d in sorted(changed_lines(edit), key=lambda d: d.line)
            ],
        }
        for edit in edits
    ]


def _recipes(loaded: LoadedConfig, keep: Path, redact: Redact, problems: list[dict[str, str]]) -> Sequence[Recipe]:
    try:
        return recipes_of(loaded.config.application, folder=loaded.path.parent, keep=keep, redact=redact)
    except StepFlowError as error:
        problems.append(_problem(error, redact))
        return ()


def _commands(recipes: Sequence[Recipe], lines: int, redact: Redact) -> Iterator[dict[str, Any]]:
    """In their order: what can be prepared, then all are stopped before a setting changes, and started when all is in place."""
    planned = [(recipe.name, p.action, redact(p.text)) for recipe in recipes for p in recipe.planned()]
    for names in (("prepare",), ("stop",), (SETTINGS,), ("build", "deploy"), ("start",)):
        if names == (SETTINGS,) and lines:
            yield {"recipe": "", "action": SETTINGS, "text": f"{lines} settings are changed", "lines": lines}
        for recipe, action, text in planned:
            if action in names:
                yield {"recipe": recipe, "action": action, "text": text}
    if lines:
        yield {"recipe": "", "action": "undo", "text": "the settings are put back as they were", "lines": lines}
    for recipe, action, text in reversed(planned):
        if action == "undo":
            yield {"recipe": recipe, "action": action, "text": text}


async def _look(recipes: Sequence[Recipe], redact: Redact, problems: list[dict[str, str]]) -> list[dict[str, Any]]:
    """What stands now, recipe by recipe; what refuses to be looked at is a problem."""
    found = []
    for recipe in recipes:
        try:
            await recipe.look()
            standing = await recipe.standing()
        except StepFlowError as error:
            problems.append(_problem(error, redact))
            continue
        if standing is not None:
            found.append({"recipe": recipe.name, **_standing(standing, redact)})
    return found


def _standing(standing: Standing, redact: Redact) -> dict[str, Any]:
    version = None if standing.version is None else redact(standing.version)
    return {
        "what": redact(standing.what),
        "running": standing.running,
        "version": version,
        "pid": standing.pid,
        "since": standing.since,
    }


def _problem(error: StepFlowError, redact: Redact) -> dict[str, str]:
    return {
        "code": error.code,
        "message": redact(error.message),
        "detail": redact(error.detail),
        "hint": redact(error.hint),
    }


def redactor_of(config: Config) -> Redact:
    """Blots out every secret of the config, whatever shows it."""
    return redactor({text for text in _secrets(config) if len(text) >= LONG_ENOUGH})


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _secrets(inner)

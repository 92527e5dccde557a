"""What is wrong with the application: health, speed, memory, processes, logs. Asks and looks; changes nothing."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.application.logs import LogTail, identities, shown_line
from stepflow_tui.engine.application.processes import Users
from stepflow_tui.engine.application.recipes import recipes_of
from stepflow_tui.engine.application.recipes.base import Recipe
from stepflow_tui.engine.application.recipes.pid_file import PidFile
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.facade.doctor_problem import Problem, milliseconds, size
from stepflow_tui.engine.facade.monitor_look import HISTORY_BYTES, TIMED, health_of, warm_up
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.model.redact import Redact
from stepflow_tui.engine.sqlite.connect import SUFFIXES, real_path

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig

TRIES = 3
LOG_LINES = 10


async def application_problems(loaded: LoadedConfig, users: Users, redact: Redact) -> list[Problem]:
    """Everything about the application as the config describes it."""
    answering, running = await asyncio.gather(_of_health(loaded, redact), _of_recipes(loaded, redact))
    pid_files = await asyncio.to_thread(lambda: list(_of_pid_files(loaded)))
    logs = await asyncio.to_thread(lambda: list(_of_logs(loaded, redact)))
    return [*running, *pid_files, *answering, *_of_memory(loaded, users), *logs]


async def _of_health(loaded: LoadedConfig, redact: Redact) -> list[Problem]:
    await warm_up(loaded)
    tries = [await health_of(loaded, redact) for _n in range(TRIES)]
    limit = loaded.config.monitor.limits.latency
    return [p for answers in zip(*tries, strict=True) if (p := _of_answers(answers, limit)) is not None]


def _of_answers(answers: Sequence[dict[str, Any]], limit: float) -> Problem | None:
    bad = next((a for a in answers if not a["ok"]), None)
    if bad is not None:
        failed = sum(not a["ok"] for a in answers)
        params = {"what": bad["what"], "reason": bad["reason"]}
        evidence = (f"{failed} of {len(answers)} tries",)
        return Problem(code="unhealthy", severity=Severity.BLOCKING, params=params, evidence=evidence)
    usual = median(a["seconds"] for a in answers)
    if answers[0]["kind"] not in TIMED or usual <= limit:
        return None
    params = {"what": answers[0]["what"], "value": milliseconds(usual), "limit": milliseconds(limit)}
    return Problem(code="slow_response", params=params, evidence=tuple(milliseconds(a["seconds"]) for a in answers))


def _of_memory(loaded: LoadedConfig, users: Users) -> Iterator[Problem]:
    limit = loaded.config.monitor.limits.memory
    for user in users.processes:
        if user.memory is not None and user.memory > limit:
            params = {"pid": user.pid, "command": user.command, "value": size(user.memory), "limit": size(limit)}
            yield Problem(code="high_memory", params=params)


async def _of_recipes(loaded: LoadedConfig, redact: Redact) -> list[Problem]:
    with tempfile.TemporaryDirectory(prefix="stepflow-") as keep:
        try:
            recipes = recipes_of(loaded.config.application, folder=loaded.path.parent, keep=Path(keep), redact=redact)
        except StepFlowError as error:
            return [_unknown("recipe", error)]
        found = [await _of_recipe(recipe, redact) for recipe in recipes]
    return [problem for problem in found if problem is not None]


async def _of_recipe(recipe: Recipe, redact: Redact) -> Problem | None:
    try:
        standing = await recipe.standing()
        if standing is None or standing.running:
            return None
        log = await recipe.log_tail(LOG_LINES)
    except StepFlowError as error:
        return _unknown(recipe.name, error)
    evidence = tuple(shown_line(line, redact) for line in log.splitlines()[-LOG_LINES:])
    params = {"recipe": recipe.name, "what": standing.what}
    return Problem(code="application_not_running", severity=Severity.BLOCKING, params=params, evidence=evidence)


def _unknown(name: str, error: StepFlowError) -> Problem:
    params = {"recipe": name, "reason": f"{error.message} {error.detail}".strip(), "fix": error.hint}
    return Problem(code="application_unknown", params=params)


def _of_pid_files(loaded: LoadedConfig) -> Iterator[Problem]:
    for file in (r.pid_file for r in loaded.config.application.recipe if r.pid_file is not None):
        try:
            found = PidFile(file).read()
        except StepFlowError as error:
            yield Problem(code="pid_file_stale", params={"file": str(file), "reason": error.message})
            continue
        if found.pid and found.process is None:
            yield Problem(code="pid_file_stale", params={"file": str(file), "reason": found.why})


def _of_logs(loaded: LoadedConfig, redact: Redact) -> Iterator[Problem]:
    path = real_path(loaded.config.source.path)
    for log in loaded.config.monitor.logs:
        tail = LogTail(log=log, redact=redact, history=HISTORY_BYTES, never=lambda: identities(path, SUFFIXES))
        look = tail.look()
        tail.close()
        if look.found:
            evidence = tuple(f"{hit.pattern} ×{hit.count}: {hit.newest}" for hit in look.hits)
            params = {"file": look.file, "count": look.found}
            yield Problem(code="log_errors", severity=Severity.INFO, params=params, evidence=evidence)

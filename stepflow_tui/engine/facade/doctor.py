"""`doctor`: what this machine offers, and what is wrong with a database, its application and its runs. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.facade.doctor_access import access_problems
from stepflow_tui.engine.facade.doctor_application import application_problems
from stepflow_tui.engine.facade.doctor_database import Seen, database_problems
from stepflow_tui.engine.facade.doctor_looked import looks_of, told_look
from stepflow_tui.engine.facade.doctor_machine import machine_checks
from stepflow_tui.engine.facade.doctor_problem import Problem, told
from stepflow_tui.engine.facade.doctor_runs import run_problems, target_problems
from stepflow_tui.engine.facade.secrets import secrets_of
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.model.redact import Redact, redactor
from stepflow_tui.engine.sqlite.connect import real_path

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig

_ORDER = list(Severity)


async def doctor(state: Path, loaded: LoadedConfig | None = None) -> Mapping[str, Any]:
    """Look everywhere once; about two seconds with a config.

    Args:
        state: the state directory.
        loaded: the config; None: this machine and its runs only.

    Returns:
        {checks[{name state found fix}] looked[{name looked about}] problems[{code severity what why fix check evidence[…] params}] runs[newest…]}, the
        worst problems first; a check's state is ok, note or missing.
    """
    redact = redactor(secrets_of(loaded))
    name = loaded.config.name if loaded is not None else None
    problems, runs = await asyncio.to_thread(run_problems, state, name)
    seen = None
    if loaded is not None:
        found, seen = await _of_config(loaded, state, redact)
        problems += found
    problems.sort(key=lambda p: _ORDER.index(p.severity))
    return {
        "checks": await asyncio.to_thread(machine_checks, state),
        "looked": [told_look(look, redact) for look in looks_of(loaded, seen)],
        "problems": [told(problem, redact) for problem in problems],
        "runs": list(runs),
    }


async def _of_config(loaded: LoadedConfig, state: Path, redact: Redact) -> tuple[list[Problem], Seen]:
    path = real_path(loaded.config.source.path)
    (database, seen), target = await asyncio.gather(database_problems(loaded), target_problems(loaded, state))
    access = await asyncio.to_thread(access_problems, path, seen.users.processes)
    # after the database: a health check's own reads and writes would show among the locks
    return [*database, *access, *target, *await application_problems(loaded, seen.users, redact)], seen

"""What runs the application: its Python, its packages, and above all its SQLite library, asked of its own interpreter."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from stepflow_tui.engine.application.interpreter import Interpreter, ask_interpreter
from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.finding import Finding, blocking, info, warning
from stepflow_tui.engine.model.versions import has_wal_reset_bug, older, version_of
from stepflow_tui.engine.sqlite.libraries import libraries_of

OLDEST = "3.7.0"
"""WAL came with it."""
PROCESSES = 100
"""Processes whose libraries are looked at."""


async def run(ctx: CheckContext) -> list[Finding]:
    """Versions from `application.python`, from the processes that have the file open, and from `application.sqlite`."""
    if ctx.folder is None:
        return []
    config, found = ctx.config, []
    asked: Interpreter | None = None
    if config.application.python is not None:
        try:
            asked = await ask_interpreter(config.application.python, tuple(config.requirements.packages))
        except StepFlowError as error:
            found.append(_unasked(config, error))
        else:
            found += [*_python(config, asked), *_packages(config, asked)]
    elif config.requirements.packages:
        found.append(
            warning("app_packages_unknown", "requirements.packages", names=", ".join(config.requirements.packages))
        )
    libraries = await asyncio.to_thread(_libraries, ctx)
    return [*found, *_sqlite(config, asked, libraries)]


def _unasked(config: Config, error: StepFlowError) -> Finding:
    return blocking("app_interpreter", str(config.application.python), detail=error.detail, hint=error.hint)


def _python(config: Config, asked: Interpreter) -> Iterator[Finding]:
    need = config.requirements.python
    params = {"version": asked.version, "minimum": need.minimum, "recommended": need.recommended}
    if older(asked.version, need.minimum):
        written = "python" in config.requirements.model_fields_set
        yield (blocking if written else warning)("app_python_old", str(config.application.python), **params)
    elif older(asked.version, need.recommended):
        yield info("app_python_recommended", str(config.application.python), **params)


def _packages(config: Config, asked: Interpreter) -> Iterator[Finding]:
    """What the operator wrote down must be there."""
    wanted = config.requirements.packages
    if wanted and asked.packages is None:
        yield warning("app_packages_unknown", "requirements.packages", names=", ".join(wanted))
        return
    for name, least in wanted.items():
        version = (asked.packages or {}).get(name)
        if version is None:
            yield blocking("app_package_missing", name, name=name, minimum=least)
        elif older(version, least):
            yield blocking("app_package_old", name, name=name, version=version, minimum=least)


def _libraries(ctx: CheckContext) -> dict[str, str]:
    """Version by where it was seen: `pid 12 (python app.py)`."""
    holders = {h.pid: h for h in ctx.holders.processes[:PROCESSES]}
    return {
        f"{library.path} in pid {pid} ({holders[pid].command})": library.version
        for pid, library in libraries_of(holders).items()
    }


def _sqlite(config: Config, asked: Interpreter | None, libraries: dict[str, str]) -> Iterator[Finding]:
    """One finding per version: what runs counts as much as what would be started next."""
    places: dict[str, list[str]] = {}
    for place, version in libraries.items():
        places.setdefault(version, []).append(place)
    if asked is not None and asked.sqlite is not None:
        places.setdefault(asked.sqlite, []).append(str(config.application.python))
    if config.application.sqlite is not None:
        places.setdefault(config.application.sqlite, []).append("application.sqlite")
    if asked is not None and asked.sqlite is None:
        yield warning("app_sqlite_missing", str(config.application.python), reason=asked.problem)
    if not places:
        yield warning("app_sqlite_unknown", "application.python")
    for version, seen in sorted(places.items(), key=lambda p: version_of(p[0])):
        yield _judged(version, "; ".join(seen[:3]) + (f"; {len(seen) - 3} more" if len(seen) > 3 else ""))


def _judged(version: str, seen: str) -> Finding:
    if older(version, OLDEST):
        return blocking("app_sqlite_too_old", "application", version=version, minimum=OLDEST, seen=seen)
    if has_wal_reset_bug(version_of(version)):
        return warning("app_wal_reset", "application", version=version, seen=seen)
    return info("app_sqlite_known", "application", version=version, seen=seen)

"""How a process that was not started here can be started again: its command line and folder, as the kernel tells them.

Its environment is part of that: without it, or with the one meant for the new application, the old one would start on other
data, or not at all. It may hold secrets, so only its names are shown, and it is kept in private files alone.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from stepflow_tui.engine.application.commands import COMMAND_VARIABLE, MARK_VARIABLE
from stepflow_tui.engine.application.recipes.process import Process
from stepflow_tui.engine.errors import StepFailed

_HINT = "Give the recipe an `undo`: a command that starts the application of before and returns."


@dataclass(frozen=True, slots=True, kw_only=True)
class OldProcess:
    """`command`: for a shell; it may hold secrets. `folder`: where it ran. `umask`, `environment`: None where not known."""

    command: str = field(repr=False)
    folder: str
    umask: int | None = None
    environment: Mapping[str, str] | None = field(default=None, repr=False)


def old_process(process: Process) -> OldProcess:
    """Find out how a process was started.

    Raises:
        StepFailed: `recipe_old_unknown`, it can't be started again like this; `recipe_other_user`, it is not this user's.
    """
    try:
        seen = psutil.Process(process.pid)
        owner, argv, folder = seen.uids().real, seen.cmdline(), seen.cwd()
    except psutil.Error as error:
        raise _unknown(process, f"its command line and folder can't be read ({type(error).__name__})") from error
    if owner != os.getuid():
        raise _other_user(process, seen)
    if not argv or not Path(folder).is_dir():
        raise _unknown(process, "it has no command line any more" if not argv else f"its folder {folder} is gone")
    program = _program(argv[0], folder, _path_of(seen))
    if program is None:
        raise _unknown(process, f"it calls itself `{argv[0][:40]}`, which is no program that can be started")
    return OldProcess(
        command=f"exec {shlex.join([program, *argv[1:]])}", folder=folder, umask=_umask(process.pid),
        environment=environment_of(process),
    )  # fmt: skip


def environment_of(process: Process) -> dict[str, str] | None:
    """The environment it was started with, None if it can't be read."""
    try:
        found = psutil.Process(process.pid).environ()
    except (psutil.Error, OSError):
        return None
    return {n: v for n, v in found.items() if n and n not in (MARK_VARIABLE, COMMAND_VARIABLE)} or None


def variable_names(process: Process) -> list[str]:
    """Names of its environment, sorted; none if they can't be read."""
    return sorted(environment_of(process) or ())


def _umask(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), None)


def _path_of(process: psutil.Process) -> str | None:
    """Where it looked for programs: the same name may be another program here."""
    try:
        return process.environ().get("PATH")
    except (psutil.Error, OSError):
        return None


def _program(name: str, folder: str, path: str | None) -> str | None:
    """Its whole path."""
    if "/" not in name:
        return shutil.which(name, path=path)
    program = Path(folder) / name
    return str(program) if program.is_file() and os.access(program, os.X_OK) else None


def _unknown(process: Process, why: str) -> StepFailed:
    return StepFailed(
        f"Process {process.pid}, the application that runs now, could not be started again as it was.",
        detail=why,
        hint=_HINT,
        code="recipe_old_unknown",
    )


def _other_user(process: Process, seen: psutil.Process) -> StepFailed:
    return StepFailed(
        f"Process {process.pid}, the application that runs now, is another user's: {seen.username()}.",
        detail=f"StepFlow runs as user {os.getuid()} and would start it again as that",
        hint=f"Start stepflow as {seen.username()}. {_HINT}",
        code="recipe_other_user",
    )

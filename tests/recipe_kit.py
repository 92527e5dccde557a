"""What tests of recipes share: a recipe from the words of a config, and what `engine` does with it one step after another."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application.recipes import recipes_of
from stepflow_tui.engine.application.recipes.base import Before, Recipe
from stepflow_tui.engine.application.recipes.process import process_of
from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.model.config_application import Application
from stepflow_tui.engine.model.redact import redactor
from tests.sample_app import call, command_line, wait_health

CANARY = "hunter2-canary"


def recipe(folder: Path, /, **words: Any) -> Recipe:
    """One recipe, as an engine makes it for a config in `folder`."""
    config = Application.model_validate({"recipe": words})
    [made] = recipes_of(config, folder=folder, keep=folder / "keep", redact=redactor([CANARY]))
    return made


async def forward(made: Recipe) -> Before:
    """Look, stop, deploy, start."""
    before = await made.look()
    await made.stop(before)
    await made.deploy(before)
    await made.start(before)
    return before


async def back(made: Recipe, before: Before) -> None:
    """Stop the new one, put the old one back, start it."""
    await made.stop(before)
    await made.put_back(before)
    await made.start(before)


@contextlib.contextmanager
def old_application(app: Path, port: int, *, pid_file: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The application as an operator started it: in the background, from its own folder, with a pid file of theirs."""
    with (app / "old.log").open("wb") as log:
        process = subprocess.Popen(
            shlex.split(command_line(".", port).removeprefix("exec ")), cwd=app, stdout=log, stderr=log
        )
    try:
        wait_health(port)
        if pid_file is not None:
            pid_file.write_text(f"{process.pid}\n")
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def ended(pid_file: Path) -> Iterator[None]:
    """Whatever the pid file names at the end is killed, with its session."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            pid = int(pid_file.read_text().split()[0])
            if process_of(pid) is not None and pid != os.getpid():
                os.kill(pid, signal.SIGKILL)


async def refusal(work: Any) -> StepFailed:
    """The error something must end with."""
    with pytest.raises(StepFlowError) as caught:
        await work
    assert isinstance(caught.value, StepFailed)
    assert CANARY not in str(caught.value)
    return caught.value


def version(port: int) -> str:
    """Which version answers."""
    return str(call(port, "/health")[1]["version"])


def git(folder: Path, *arguments: str) -> str:
    """Run git there, as somebody with a name."""
    settings = ("-c", "user.name=Test", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file in a folder: mode and bytes; links by what they point at."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = (0, os.fsencode(path.readlink()))
        elif path.is_file():
            found[str(path.relative_to(folder))] = (path.stat().st_mode, path.read_bytes())
    return found

"""Runs the commands of hooks: in a shell and a session of their own, watched, bounded, their output fit to be kept.

Owns processes and output. Which command is run when, and what its end means, is decided in `hooks.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from stepflow_tui.engine.application.streams import (
    DRAIN_SECONDS,
    GRACE_SECONDS,
    Newest,
    end_group,
    ended,
    passed_environment,
    pipe,
    read_into,
    usual_umask,
)
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.redact import Redact

KEPT_BYTES = 64 * 1024
"""Newest output that is held while a command runs; one that prints for hours fills nothing."""
SHOWN_CHARACTERS = 4_000
"""Newest output that is journalled."""
_LONGEST_SECRET = 8_192

MARK_VARIABLE = "STEPFLOW_HOOK_MARK"
COMMAND_VARIABLE = "STEPFLOW_HOOK_COMMAND"
WAITING_SHELL = f'read -r _stepflow || exit 125; _stepflow=${COMMAND_VARIABLE}; unset {COMMAND_VARIABLE}; eval "$_stepflow" </dev/null'
"""The command stands in the environment: arguments can be read by every user of the machine.

It waits for a line first, so that it can't begin before its process is written down; without an engine it ends at once.
"""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\)|.)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command ended. `status`: its exit status, negative for a signal, None when its time was over.

    `output` holds the newest of what it printed, without secrets and control characters; `cut` tells that there was more.
    """

    status: int | None
    seconds: float
    output: str
    cut: bool

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.status == 0

    @property
    def ending(self) -> str:
        """`exit status 3`, as a person reads it."""
        if self.status is None:
            return f"not finished after {self.seconds:.0f} s, ended"
        return f"ended by signal {-self.status}" if self.status < 0 else f"exit status {self.status}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A running command: its session's id, and a word that its processes carry in their environment."""

    id: int
    token: str


async def run_command(
    command: str,
    *,
    folder: Path,
    env: Mapping[str, str],
    seconds: float,
    redact: Redact,
    started: Callable[[Session], Awaitable[None]],
) -> Ran:
    """Run a shell command to its end; whatever ends it early, its whole process group is ended with it.

    Args:
        command: for `/bin/sh`; its standard input is empty.
        folder: working directory.
        env: variables besides the few that are passed on.
        seconds: how long it may take.
        redact: blots secrets out of the output.
        started: called before the command begins, to write its process down.

    Raises:
        StepFailed: `hook_failed`, no process could be started.
    """
    token = secrets.token_hex(16)
    begun = time.monotonic()
    with pipe() as (source, output), pipe() as (waiting, go):
        try:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", WAITING_SHELL, stdin=waiting.fd, stdout=output.fd, stderr=output.fd, start_new_session=True,
                umask=usual_umask(), cwd=folder, env={**passed_environment(), **env, MARK_VARIABLE: token, COMMAND_VARIABLE: command},
            )  # fmt: skip
        except OSError as error:
            raise StepFailed("A hook's shell could not be started.", detail=str(error), code="hook_failed") from error
        output.close()
        waiting.close()
        kept = Newest(KEPT_BYTES)
        reading = asyncio.create_task(read_into(source, kept))
        try:
            await started(Session(id=process.pid, token=token))
            with contextlib.suppress(BrokenPipeError):  # a shell that was killed meanwhile says so by its status
                os.write(go.fd, b"go\n")
            status = await ended(process, seconds)
            if status != 0:
                await end_group(process)
            await asyncio.wait({reading}, timeout=DRAIN_SECONDS)
        finally:
            if process.returncode is None:
                await end_group(process)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    took = round(time.monotonic() - begun, 3)
    return Ran(status=status, seconds=took, output=_shown(kept, redact), cut=kept.total > SHOWN_CHARACTERS)


async def end_session(session: Session) -> int:
    """End what is left of a command whose engine was lost. Returns the number of processes ended.

    A process counts only if it is in that session and carries the token: session ids are used again.
    """
    found = [p for p in psutil.process_iter() if _belongs(p, session)]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = await asyncio.to_thread(psutil.wait_procs, found, GRACE_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    await asyncio.to_thread(psutil.wait_procs, alive, GRACE_SECONDS)
    return len(found)


def printable(text: str) -> str:
    """Text without escape sequences and control characters (a terminal would obey them); line ends stay."""
    plain = _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
    return "".join(c for c in plain if c.isprintable() or c == "\n")


def tail(text: str, characters: int) -> str:
    """The last characters of a text, from the beginning of a line where there is one."""
    if len(text) <= characters:
        return text
    short = text[-characters:]
    return short.partition("\n")[2] or short


def _shown(kept: Newest, redact: Redact) -> str:
    """Secrets are blotted out before the text is cut: half a secret would not be found any more.

    Where the stream itself was cut, its first characters may be such a half, so they are left out.
    """
    text = redact(printable(kept.data.decode("utf-8", "replace")))
    begin = _LONGEST_SECRET if kept.total > len(kept.data) else 0
    return tail(text[begin:], SHOWN_CHARACTERS).strip("\n")


def _belongs(process: psutil.Process, session: Session) -> bool:
    try:
        return os.getsid(process.pid) == session.id and process.environ().get(MARK_VARIABLE) == session.token
    except (OSError, psutil.Error):
        return False  # gone, or another user's: none of ours

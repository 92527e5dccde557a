"""Runs the tools of recipes (git, systemctl, docker, kubectl) by their arguments, never through a shell.

Owns the call: found on PATH or refused by name, ended in time with all its children, bounded output, secrets blotted out of
everything that may be shown.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stepflow_tui.engine.application.commands import printable, tail
from stepflow_tui.engine.application.streams import (
    DRAIN_SECONDS,
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

KEPT_BYTES = 4 << 20
"""Newest output that is held: a description of a container with hundreds of variables is far smaller."""
SHOWN_CHARACTERS = 1_000
"""Newest output that an error shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How a tool ended.

    `status`: exit status, negative for a signal, None when its time was over. `text`: what it printed on its standard output,
    as it is, for the caller to read: it may hold secrets and is never shown or kept as it is. `said`: the end of what
    it printed for people (standard error, else standard output), fit to be shown. `seconds`: how long it took.
    """

    status: int | None
    text: str = field(repr=False)
    said: str
    seconds: float

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


async def run_tool(
    argv: Sequence[str],
    *,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float,
    redact: Redact,
) -> Output:
    """Run a tool to its end, whatever its exit status; in a session of its own, with an empty standard input.

    Args:
        argv: the tool's name (looked up on PATH) or path, and its arguments. Secrets belong into `env`: every user of the
            machine can read arguments.
        folder: working directory; the engine's if left out.
        env: variables besides the few that are passed on. A `PATH` here is where the tool is looked for.
        seconds: how long it may take; then its whole process group is ended.
        redact: blots secrets out of `said`.

    Raises:
        StepFailed: `recipe_tool_missing`, there is no such program; `recipe_failed`, it can't be started.
    """
    environment = {**passed_environment(), "LC_ALL": "C", **(env or {})}
    program = found(argv[0], environment.get("PATH"), folder)
    begun = time.monotonic()
    with pipe() as (out, out_end), pipe() as (err, err_end):
        try:
            process = await asyncio.create_subprocess_exec(
                program, *argv[1:], stdin=asyncio.subprocess.DEVNULL, stdout=out_end.fd, stderr=err_end.fd,
                start_new_session=True, umask=usual_umask(), cwd=folder, env=environment,
            )  # fmt: skip
        except OSError as error:
            raise _not_started(argv[0], folder, error) from error
        out_end.close()
        err_end.close()
        kept = Newest(KEPT_BYTES), Newest(KEPT_BYTES)
        reading = {asyncio.create_task(read_into(end, to)) for end, to in zip((out, err), kept, strict=True)}
        try:
            status = await ended(process, seconds)
            if status is None:
                await end_group(process)
            await asyncio.wait(reading, timeout=DRAIN_SECONDS)
        finally:
            if process.returncode is None:
                await end_group(process)
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
    text, said = (bytes(k.data).decode("utf-8", "replace") for k in kept)
    return Output(
        status=status,
        text=text,
        said=shown(said if said.strip() else text, redact),
        seconds=round(time.monotonic() - begun, 3),
    )


async def must(
    argv: Sequence[str],
    what: str,
    *,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float,
    redact: Redact,
    hint: str = "",
) -> str:
    """Run a tool that must succeed.

    Args:
        what: what is being done, as an error names it: `Starting the unit shop`.
        hint: what to do if it fails; a general one if left out.

    Returns:
        Its standard output, as it is: not redacted, never shown.

    Raises:
        StepFailed: `recipe_tool_missing`; `recipe_failed`, with the end of what it said.
    """
    output = await run_tool(argv, folder=folder, env=env, seconds=seconds, redact=redact)
    if not output.ok:
        raise failed(argv, what, output, redact, hint=hint)
    return output.text


def failed(argv: Sequence[str], what: str, output: Output, redact: Redact, *, hint: str = "") -> StepFailed:
    """The error for a tool that did not succeed."""
    return StepFailed(
        f"{what} failed: {redact(shown_command(argv))}: {output.ending}.",
        detail=tail(output.said, SHOWN_CHARACTERS) or "it printed nothing",
        hint=hint or "Correct what it says, then `stepflow run` again: the action is done once more.",
        code="recipe_failed",
    )


def found(tool: str, path: str | None = None, folder: Path | None = None) -> str:
    """Where a tool is. A name is looked up on `path` (the engine's PATH if None), a relative path in `folder`.

    Raises:
        StepFailed: `recipe_tool_missing`.
    """
    if "/" in tool:
        tool = str((folder or Path()) / tool)
    program = shutil.which(tool, path=path)
    if program is not None:
        return program
    searched = os.environ.get("PATH", "") if path is None else path
    raise StepFailed(
        f"The program {tool} that a recipe needs is not there or can't be run.",
        detail=f"looked at {tool}" if "/" in tool else f"looked for {tool} in PATH={searched}",
        hint=f"Install {tool}, or put its folder into PATH of the shell that starts stepflow, then run the command again.",
        code="recipe_tool_missing",
    )


def shown_command(argv: Sequence[str]) -> str:
    """The command line as one would type it. Not redacted."""
    return shlex.join(argv)


def shown(text: str, redact: Redact) -> str:
    """Output fit to be shown: secrets are blotted out before it is cut, half a secret would not be found any more."""
    return tail(redact(printable(text)), 4 * SHOWN_CHARACTERS).strip("\n")


def _not_started(tool: str, folder: Path | None, error: OSError) -> StepFailed:
    where = "" if folder is None else f" in {folder}"
    return StepFailed(
        f"The program {tool} could not be started{where}.",
        detail=error.strerror or type(error).__name__,
        hint="Check that the folder exists and that the program may be run by this user, then run the command again.",
        code="recipe_failed",
    )

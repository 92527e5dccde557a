"""The calls that the recipes with a tool of their own share: what the tool gets, how long it may take, how its refusals read.

Owns words and patience around `tools.py`; which command is run when is each recipe's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from stepflow_tui.engine.application.commands import tail
from stepflow_tui.engine.application.recipes.tools import Output, run_tool, shown_command
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config_application import Recipe
from stepflow_tui.engine.model.redact import MASK, Redact
from stepflow_tui.engine.model.secret_words import plain

QUESTION_SECONDS = 30.0
"""How long a tool may take to tell what stands; actions have the recipe's own `timeout`."""
POLL_SECONDS = 0.25
_PASSED = re.compile(
    r"(DOCKER|COMPOSE|BUILDKIT)_\w+|KUBECONFIG|SSH_AUTH_SOCK|(?i:https?_proxy|no_proxy|all_proxy)|XDG_CONFIG_HOME"
)
"""Where the tools find their server and their logins, as in the operator's own shell."""
_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASS|PWD|CRED|AUTH|DSN|_UR[LI]$|CONNECTION|SALT", re.IGNORECASE)
_SHORTEST = 4
_LONGEST_SHOWN = 160
_NOISE = re.compile(r"[EWI]\d{4} \d\d:\d\d:\d\d\.\d+ ")
"""How kubectl's own library begins its log lines; what went wrong is said after them."""
_DENIED = re.compile(
    r"interactive authentication required|access denied|permission denied|not authorized|forbidden|"
    r"must be logged in|unauthorized|operation not permitted",
    re.IGNORECASE,
)
_AWAY = re.compile(
    r"cannot connect to the docker daemon|failed to connect to bus|has not been booted with systemd|"
    r"connection to the server .* was refused|unable to connect to the server|no such host|i/o timeout",
    re.IGNORECASE,
)


class Calls:
    """Runs one recipe's tool with its variables, its folder and its time.

    Args:
        config: the recipe.
        folder: where commands run if the recipe says nothing else.
        redact: blots secrets out of everything that may be shown.
        denied: what to do where the tool says that this user may not.
        away: what to do where the tool's server doesn't answer.
    """

    def __init__(self, config: Recipe, *, folder: Path, redact: Redact, denied: str, away: str) -> None:
        self.env = {k: v for k, v in os.environ.items() if _PASSED.fullmatch(k)}
        self.env.update({k: v.get_secret_value() for k, v in config.env.items()})
        self.folder = config.folder or folder
        self.seconds = config.timeout
        self.redact: Redact = hiding(redact, {k: v.get_secret_value() for k, v in config.env.items()}, every=True)
        self._denied = denied
        self._away = away

    async def run(self, *argv: str, seconds: float | None = None) -> Output:
        """A command whose failure means something; questions get half a minute, `seconds` is for actions."""
        limit = min(QUESTION_SECONDS, self.seconds) if seconds is None else seconds
        return await run_tool(argv, folder=self.folder, env=self.env, seconds=limit, redact=self.redact)

    async def must(self, *argv: str, what: str, hint: str = "", code: str = "recipe_failed", ask: bool = False) -> str:
        """A command that has to succeed: its standard output, which may hold secrets.

        Args:
            argv: the command.
            what: `Stopping the unit shop.service`.
            hint: what to do if it fails for a reason of its own.
            code: of the error then.
            ask: a question, not an action.

        Raises:
            StepFailed: `recipe_timeout`, `recipe_permission`, `recipe_unreachable`, else `code`.
        """
        output = await self.run(*argv, seconds=None if ask else self.seconds)
        if not output.ok:
            raise self.failed(argv, what, output, hint=hint, code=code)
        return output.text

    async def data(self, *argv: str, what: str) -> Any:
        """The JSON that a question is answered with.

        Raises:
            StepFailed: as `must`; `recipe_answer` where it is no JSON.
        """
        return self.json(await self.must(*argv, what=what, ask=True), argv, what)

    def json(self, text: str, argv: Sequence[str], what: str) -> Any:
        """Read what a command answered.

        Raises:
            StepFailed: `recipe_answer`.
        """
        try:
            return json.loads(text)
        except ValueError as error:
            raise StepFailed(
                f"{what}: the answer can't be read.",
                detail=f"{self.shown(argv)} did not print JSON",
                hint="Run the command by hand; a newer version of the tool may be needed.",
                code="recipe_answer",
            ) from error

    def failed(self, argv: Sequence[str], what: str, output: Output, *, hint: str = "", code: str) -> StepFailed:
        """The error for a command that did not succeed, by what it said."""
        detail = tail(_plain(output.said), 1_000) or "it printed nothing"
        line = self.shown(argv)
        shown = line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}…"
        message = f"{what} failed: {shown}: {output.ending}."
        if output.status is None:
            return StepFailed(
                message,
                detail=detail,
                hint="Look at what keeps it, or raise `timeout` of the recipe, then `stepflow run` again.",
                code="recipe_timeout",
            )
        if _AWAY.search(output.said):
            return StepFailed(message, detail=detail, hint=self._away, code="recipe_unreachable")
        if _DENIED.search(output.said):
            return StepFailed(message, detail=detail, hint=self._denied, code="recipe_permission")
        general = "Correct what it says, then `stepflow run` again: the action is done once more."
        return StepFailed(message, detail=detail, hint=hint or general, code=code)

    def shown(self, argv: Sequence[str]) -> str:
        """A command line fit to be shown."""
        return self.redact(shown_command(argv))


def _plain(said: str) -> str:
    lines = said.splitlines()
    return "\n".join([line for line in lines if not _NOISE.match(line)] or lines)


async def merged(calls: Calls, *argv: str) -> str:
    """What a command prints, standard output and error in their order: logs come on both."""
    return (await calls.run("/bin/sh", "-c", 'exec "$@" 2>&1', "sh", *argv)).text


async def until(done: Callable[[], Awaitable[bool]], seconds: float, poll: float | None = None) -> bool:
    """Ask until something is so. False when the time is over."""
    end = monotonic() + seconds
    while not await done():
        if monotonic() >= end:
            return False
        await asyncio.sleep(POLL_SECONDS if poll is None else poll)
    return True


def hiding(redact: Redact, values: Mapping[str, str], *, every: bool = False) -> Redact:
    """A redactor that also blots the values of variables that are secret by their name, or (`every`) all but plain ones."""
    hidden = {k: v for k, v in values.items() if _SECRET_NAME.search(k) or (every and not plain(k, v))}
    known = {v for v in hidden.values() if len(v) >= _SHORTEST}
    if not known:
        return redact
    pattern = re.compile("|".join(re.escape(v) for v in sorted(known, key=len, reverse=True)))
    return lambda text: pattern.sub(MASK, redact(text))


def pairs(environment: Sequence[str]) -> dict[str, str]:
    """`NAME=value` lines as a mapping."""
    return {name: value for name, _equals, value in (entry.partition("=") for entry in environment)}


def newest(text: str, lines: int) -> str:
    """The last lines of a text."""
    return "\n".join(text.rstrip("\n").splitlines()[-lines:]) if lines > 0 else ""


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(
        os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)

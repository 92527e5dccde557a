"""What is told about an application that does not start, without any of its secrets."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from stepflow_tui.engine.application.commands import printable, tail
from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.model.finding import Finding, warning
from stepflow_tui.engine.model.redact import Redact, redactor
from stepflow_tui.engine.model.secret_words import plain
from stepflow_tui.engine.steps.application.log_words import secrets_in, without_secrets
from stepflow_tui.engine.steps.application.state import Failure, Stage
from stepflow_tui.engine.steps.hooks import secrets_of_hooks

if TYPE_CHECKING:
    from stepflow_tui.engine.application.recipes.base import Recipe
    from stepflow_tui.engine.model.config import Config
    from stepflow_tui.engine.steps.context import RunContext

STAGE = "application"
"""The findings' stage in the journal."""
CODE = "application_start_failed"
LOG_LINES, LOG_CHARACTERS = 50, 8_000
LONG_ENOUGH = 8
"""A setting whose name sounds harmless (`USE_DATABASE: "true"`) is a secret only if it looks like one."""

_SECRET_WORD = re.compile(
    r"(?i)pass(?!ed|es|ing|enger)|\bpw\b|pwd|secret|token|api_?key|access_?key|private|credential|auth(?!or)|cookie|session|dsn"
    r"|database_url|_key\b|salt|signature"
)


def sounds_secret(name: str) -> bool:
    """Whether a variable of that name holds a secret."""
    return _SECRET_WORD.search(name) is not None


def redact_of(ctx: RunContext) -> Redact:
    """The run's own redaction, every secret of the config, and whatever looks like one: logs are others' words."""
    own = redactor(
        {*_secrets(ctx.config), *secrets_of_hooks(ctx.config), *(ctx.target.secrets if ctx.has_target else ())}
    )

    def redact(text: str) -> str:
        return without_secrets(own(ctx.journal.clean(text)))

    return redact


def log_redact_of(ctx: RunContext) -> Redact:
    """As `redact_of`, and every secret that stands in the application's own files of settings: its log may show them bare."""
    own, application = redact_of(ctx), ctx.config.application
    files = {switch.file for switch in application.switches} | ({application.env.file} if application.env else set())
    known = redactor(secret for file in files for secret in _file_secrets(file))
    return lambda text: own(known(text))


def _file_secrets(path: Path) -> Iterator[str]:
    """Values whose names sound secret, in whatever format; a file that can't be read gives none away either."""
    with contextlib.suppress(OSError):
        yield from secrets_in(path.read_text(encoding="utf-8", errors="replace"))


def _secrets(config: Config) -> Iterator[str]:
    application = config.application
    for recipe in application.recipe:
        values = {name: value.get_secret_value() for name, value in recipe.env.items()}
        yield from (value for name, value in values.items() if not plain(name, value))
    for switch in application.switches:
        yield from _looking_so((name, value) for name, value in switch.assignments.items())
        if switch.to is not None:
            yield from _looking_so([("", switch.to)])
    if application.env is not None:
        yield from _looking_so(application.env.demand.items())
    for probe in application.probes:
        for request in filter(None, (probe.create, probe.read, probe.delete)):
            yield from (value.get_secret_value() for value in request.headers.values())


def _looking_so(settings: Iterable[tuple[str, SecretStr]]) -> Iterator[str]:
    for name, value in settings:
        text = value.get_secret_value()
        if "{" in text:
            continue  # what stands in the braces is known to the target
        if sounds_secret(name) or (len(text) >= LONG_ENOUGH and not text.replace("_", "").isalpha()):
            yield text


def shown_log(text: str, redact: Redact) -> str:
    """The newest lines, fit to be kept: secrets are blotted out before anything is cut, half a secret would not be found."""
    lines = redact(printable(text)).strip("\n").splitlines()[-LOG_LINES:]
    return tail("\n".join(lines), LOG_CHARACTERS)


async def failure_of(error: StepFlowError, recipes: Iterable[Recipe], culprit: str, redact: Redact) -> Failure:
    """Collect what helps to understand, while it is still there: the log's end and the environment's names.

    Args:
        error: what went wrong.
        recipes: all of the run's.
        culprit: name of the recipe whose action failed; "": the last one that runs something.
        redact: blots secrets out.
    """
    running = [r for r in recipes if r.name == culprit] if culprit else [r async for r in _running(recipes)]
    reason = redact(printable(error.message + (f" ({error.detail})" if error.detail else ""))).strip()
    found = Failure(recipe=culprit, reason=reason, code=error.code)
    for recipe in reversed(running):
        log, names = await _log(recipe, redact), await _names(recipe)
        if log or names or not found.recipe:
            found.recipe, found.log, found.variables = recipe.name, log, names
            break
    return found


async def _running(recipes: Iterable[Recipe]) -> AsyncIterator[Recipe]:
    for recipe in recipes:
        try:
            runs = await recipe.standing() is not None
        except StepFlowError:
            runs = True  # it can't say: its log may
        if runs:
            yield recipe


async def _log(recipe: Recipe, redact: Redact) -> str:
    try:
        return shown_log(await recipe.log_tail(LOG_LINES), redact)
    except StepFlowError as error:
        return f"(its log can't be read: {redact(error.message)})"


async def _names(recipe: Recipe) -> str:
    try:
        return ", ".join(printable(name) for name in await recipe.variables())
    except StepFlowError:
        return ""  # what failed is told already; names are only an addition


def start_failed(failure: Failure, outcome: str) -> Finding:
    """The finding, for somebody to accept before it is tried again. `outcome`: one sentence about the old application."""
    return warning(
        CODE, failure.recipe or None, reason=failure.reason, log=failure.log or "(empty)",
        variables=failure.variables or "(unknown)", outcome=outcome,
    )  # fmt: skip


_REACHED = {
    Stage.OLD: "The application can't be switched; it was not touched, and runs as before.",
    Stage.STOPPING: "The application could not be stopped; it was put back and is as it was.",
    Stage.SWITCHING: "The application's settings or code could not be changed; the old one was put back and is as it was.",
}
"""What is said of a failure, by the stage that was reached."""


def put_back_error(failure: Failure, code: str, reached: Stage) -> StepFailed:
    """What the step ends with, once everything was put back."""
    return StepFailed(
        _REACHED.get(
            reached, "The application did not come up on the new side; the old one was put back and is as it was."
        ),
        detail=failure.reason,
        hint="The finding application_start_failed holds the end of its log. Correct that, then `stepflow run` again.",
        code=code,
    )

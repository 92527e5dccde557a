"""Health checks of the application: each asks once, and says why it is not content.

An unhealthy service is an answer, never an error. What an answer shows holds no secret: of a URL scheme, host, port and
path; of a command its program; of SQL nothing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from stepflow_tui.engine.application.asking import (
    NoAnswer,
    Reply,
    bounded,
    hides,
    knock,
    request,
    shake_hands,
    short,
    shown,
)
from stepflow_tui.engine.application.commands import Session, run_command, tail
from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.model.config_application import Health
from stepflow_tui.engine.model.redact import Redact

STARTING_SECONDS = 1.0
"""How often a service that is starting is asked, unless its `interval` is shorter."""
VALUE_CHARACTERS = 40

Sql = Callable[[str], Awaitable[Any]]
"""Runs one statement for reading and returns the first value of its first row; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a health check said. `reason` is "" when it is content; `status` the HTTP or exit status, None where neither is."""

    ok: bool
    what: str
    seconds: float
    reason: str
    status: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    reason: str = ""
    status: int | None = None
    seconds: float | None = None


def what_of(check: Health) -> str:
    """The check as people are told of it."""
    if check.http is not None or check.websocket is not None:
        return shown(check.http or check.websocket or "")
    if check.tcp is not None:
        return f"tcp {shown(f'tcp://{check.tcp}').removeprefix('tcp://')}"
    if check.command is not None:
        program = (check.command.split() or [""])[0]
        return f"command {program}" if "=" not in program else "command"
    return "sql"


def without_contents(check: Health) -> Health:
    """The check without what it demands of the contents: `database.kind: postgresql` holds on the new side only."""
    return check.model_copy(update={"body": None, "json_path": {}, "max_latency": None})


async def ask(check: Health, *, sql: Sql | None, folder: Path, redact: Redact) -> Answer:
    """Ask once; never longer than the check's `timeout` (a command gets a few seconds more to end when it is told to).

    Args:
        check: which one.
        sql: runs a statement; None: there is no database to ask yet.
        folder: where commands run.
        redact: blots the run's secrets out.
    """
    begun = time.monotonic()
    clean = hides(check.http or check.websocket or "", redact)
    try:
        said = await _ask(check, sql, folder, redact)
    except NoAnswer as error:
        said = _Said(reason=error.reason)
    except StepFlowError as error:
        said = _Said(reason=f"{error.message} {error.detail}")
    except Exception as error:  # a driver's error, whatever its class: the check could not be done
        said = _Said(reason=f"{type(error).__name__}: {error}")
    seconds = said.seconds if said.seconds is not None else time.monotonic() - begun
    reason = said.reason
    if not reason and check.max_latency is not None and seconds > check.max_latency:
        reason = f"took {seconds:.2f} s, at most {check.max_latency:g} s are allowed"
    return Answer(
        ok=not reason, what=short(what_of(check), clean), seconds=round(seconds, 3), reason=short(reason, clean),
        status=said.status,
    )  # fmt: skip


async def wait_healthy(
    checks: Sequence[Health],
    *,
    sql: Sql | None,
    folder: Path,
    redact: Redact,
    told: Callable[[Answer], None] | None = None,
) -> tuple[Answer, ...]:
    """Wait until every check was content once.

    As Docker's HEALTHCHECK: failures within `start_period` do not count, `retries` failures `interval` apart do. Unlike it,
    the service is asked every second all the while (more often where `interval` is shorter), so that its first healthy answer
    ends the waiting at once. It ends in failure once `start_period` + `retries` × `interval` are over without one; an answer
    that is under way then is still waited for, at most its `timeout`.

    Args:
        told: hears of every answer.

    Raises:
        StepFailed: `application_unhealthy`, with every check that was not content yet and its newest reason.
    """
    newest: dict[int, Answer] = {}

    async def one(number: int, check: Health) -> None:
        deadline = time.monotonic() + check.start_period + check.retries * check.interval
        while True:
            answer = newest[number] = await ask(check, sql=sql, folder=folder, redact=redact)
            if told is not None:
                told(answer)
            if answer.ok:
                return
            pause = min(check.interval, STARTING_SECONDS)
            if time.monotonic() + pause > deadline:
                raise _Unhealthy
            await asyncio.sleep(pause)

    tasks = [asyncio.create_task(one(n, check)) for n, check in enumerate(checks)]
    try:
        await asyncio.gather(*tasks)
    except _Unhealthy:
        raise _unhealthy([newest[n] for n in sorted(newest) if not newest[n].ok]) from None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return tuple(newest[n] for n in range(len(checks)))


class _Unhealthy(Exception):
    """One check has given up."""


def _unhealthy(failing: Sequence[Answer]) -> StepFailed:
    first, more = failing[0], len(failing) - 1
    return StepFailed(
        f"The application is not healthy: {first.what}{f' and {more} more' if more else ''}.",
        detail="\n".join(f"{a.what}: {a.reason}" for a in failing),
        hint="Look at the application's own log; `start_period` and `retries` of the check say how long it may take.",
        code="application_unhealthy",
    )


async def _ask(check: Health, sql: Sql | None, folder: Path, redact: Redact) -> _Said:
    if check.http is not None:
        reply = await request(check.http, seconds=check.timeout)
        clean = hides(check.http, redact)
        return _Said(reason=judge(check, reply, clean), status=reply.status, seconds=reply.seconds)
    if check.websocket is not None:
        await shake_hands(check.websocket, seconds=check.timeout)
        return _Said()
    if check.tcp is not None:
        await knock(check.tcp, seconds=check.timeout)
        return _Said()
    if check.command is not None:
        return await _command(check, check.command, folder, redact)
    return await _sql(check, check.sql or "", sql)


async def _command(check: Health, command: str, folder: Path, redact: Redact) -> _Said:
    ran = await run_command(
        command, folder=folder, env={}, seconds=check.timeout, redact=redact, started=_nothing_to_note
    )
    last = tail(ran.output, 120).strip().rpartition("\n")[2]
    said = f"{ran.ending}{f': {last}' if last else ''}"
    reason = "" if ran.ok and _contains(check, ran.output) else said
    return _Said(reason=reason, status=ran.status, seconds=ran.seconds)


async def _nothing_to_note(_session: Session) -> None:
    """A check's command needs no entry: it changes nothing, and an engine that dies takes none back."""


async def _sql(check: Health, statement: str, sql: Sql | None) -> _Said:
    if sql is None:
        return _Said(reason="there is no database to ask yet")
    value = await bounded(_awaited(sql(statement)), check.timeout)
    return _Said(reason="" if _contains(check, str(value)) else "the result is not as expected")


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


def _contains(check: Health, text: str) -> bool:
    return check.body is None or check.body in text


def judge(check: Health, reply: Reply, redact: Redact) -> str:
    """Why an HTTP answer is not as the check wants it, "" if it is. Shows none of the body but single values asked for."""
    if reply.status != check.status:
        return f"status {reply.status}, not {check.status}"
    if not _contains(check, reply.text):
        return f"the body lacks the expected text{' in its first MiB' if reply.cut else ''}"
    if not check.json_path:
        return ""
    try:
        data = json.loads(reply.text)
    except (ValueError, RecursionError):
        return f"the body is no JSON{', or longer than a MiB' if reply.cut else ''}"
    wrong = (_differs(path, wanted, data, redact) for path, wanted in check.json_path.items())
    return next((reason for reason in wrong if reason), "")


def _differs(path: str, wanted: str, data: Any, redact: Redact) -> str:
    try:
        value = at_path(data, path)
    except LookupError:
        return f"{path} is not in the answer"
    return "" if same(value, wanted) else f"{path} is {redact(plain(value))[:VALUE_CHARACTERS]!r}"


def at_path(data: Any, path: str) -> Any:
    """The value at a dotted path; numbers are places in lists. A key that itself has dots is found too. Raises LookupError."""
    if isinstance(data, dict) and path in data:
        return data[path]
    head, _, rest = path.partition(".")
    if isinstance(data, list) and head.isdecimal():
        inner = data[int(head)]
    elif isinstance(data, dict):
        inner = data[head]
    else:
        raise LookupError(path)
    return at_path(inner, rest) if rest else inner


def plain(value: Any) -> str:
    """A JSON value as text: strings as they are, everything else as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def same(value: Any, wanted: str) -> bool:
    """Whether a JSON value is what a config, which knows only texts, means by it."""
    if isinstance(value, bool) or value is None:
        return plain(value) == wanted.lower() or (value is None and wanted == "")
    if isinstance(value, int | float):
        try:
            return Decimal(plain(value)) == Decimal(wanted)
        except InvalidOperation:
            return False
    return plain(value) == wanted

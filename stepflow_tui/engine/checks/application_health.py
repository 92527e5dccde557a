"""Is the application healthy now, before anything is done, and can its availability be measured?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

from pydantic import BaseModel, SecretStr

from stepflow_tui.engine.application.asking import NoAnswer, hides, request, short, shown
from stepflow_tui.engine.application.health import Answer, ask, without_contents
from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config_application import Availability, Health
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.model.redact import Redact, redactor
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.first_value import first_value

SHORTEST = 8
"""Shorter values (`true`, `8000`) would blot out ordinary words."""


async def run(ctx: CheckContext) -> list[Finding]:
    """Every check is asked once. Blocking in production: there nobody switches an application that is ill already.

    Nothing is asked where only data is looked at (`verify`): that must be possible while the application is down.
    """
    if ctx.folder is None:
        return []
    application = ctx.config.application
    redact = redactor(s for s in secrets(application) if len(s) >= SHORTEST)
    answers = await asyncio.gather(*(_ask(ctx, check, redact) for check in application.health))
    tell = blocking if ctx.config.production else warning
    found = [tell("application_unhealthy_now", a.what, reason=a.reason) for a in answers if not a.ok]
    if application.availability is not None:
        found += await _reached(application.availability, redact)
    return found


async def _ask(ctx: CheckContext, check: Health, redact: Redact) -> Answer:
    """What a check demands of the contents may be true of the new side only: now it is enough that the service answers."""
    sql = partial(first_value, real_path(ctx.config.source.path), seconds=check.timeout)
    assert ctx.folder is not None
    answer = await ask(check, sql=sql, folder=ctx.folder, redact=redact)
    if answer.ok or answer.status is None or without_contents(check) == check:
        return answer
    return await ask(without_contents(check), sql=sql, folder=ctx.folder, redact=redact)


async def _reached(config: Availability, redact: Redact) -> list[Finding]:
    try:
        reply = await request(config.http, seconds=config.timeout)
    except NoAnswer as error:
        reason = short(error.reason, hides(config.http, redact))
    else:
        reason = "" if reply.status == config.status else f"status {reply.status}, not {config.status}"
    return [warning("application_unreachable_now", shown(config.http), reason=reason)] if reason else []


def secrets(value: object) -> Iterator[str]:
    """Every secret inside a part of the config."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets(getattr(value, name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from secrets(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from secrets(inner)

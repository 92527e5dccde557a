"""Whether the application is well: as its checks demand, or as it was before anything was changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.application.health import Answer, Sql, ask, wait_healthy
from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.config_application import Health
from stepflow_tui.engine.model.redact import Redact
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.first_value import first_value
from stepflow_tui.engine.steps.facts import connection

if TYPE_CHECKING:
    from stepflow_tui.engine.application.recipes.base import Recipe
    from stepflow_tui.engine.steps.context import RunContext

WHOLE, LOOSE, NEVER = "whole", "loose", "never"
"""How a check was answered before: as it demands; only without its demands on the contents; not at all."""
LOOK_SECONDS = 0.5
GONE_LOOKS = 3
"""So many looks in a row must find nothing running: a supervisor may be starting it again just then."""
SETTLE_SECONDS = 1.0
"""How long something without any health check must stay alive to count as started."""

SQL_SECONDS = 10.0

Told = Callable[[Answer], None]


def loosened(check: Health) -> Health:
    """Without what the check demands of the contents: `database.kind: postgresql` holds on the new side only."""
    return check.model_copy(update={"body": None, "json_path": {}, "max_latency": None})


async def baseline(
    checks: Sequence[Health], *, sql: Sql | None, folder: Path, redact: Redact
) -> list[tuple[str, Answer]]:
    """How each check is answered now, before anything is changed: so it must be again after going back."""
    found = []
    for check in checks:
        answer = await ask(check, sql=sql, folder=folder, redact=redact)
        form = WHOLE if answer.ok else NEVER
        if not answer.ok and loosened(check) != check:
            answer = await ask(loosened(check), sql=sql, folder=folder, redact=redact)
            form = LOOSE if answer.ok else NEVER
        found.append((form, answer))
    return found


def as_usual(checks: Sequence[Health], usual: Sequence[str]) -> tuple[Health, ...]:
    """The checks that the old side must pass: in the form in which it passed them before."""
    forms = dict(enumerate(usual))
    kept = ((check, forms.get(n, LOOSE)) for n, check in enumerate(checks))
    return tuple(check if form == WHOLE else loosened(check) for check, form in kept if form != NEVER)


async def wait_well(
    checks: Sequence[Health], recipes: Sequence[Recipe], *, clock: Clock, sql: Sql | None, folder: Path, redact: Redact,
    told: Told,
) -> tuple[Answer, ...]:  # fmt: skip
    """Wait until the checks are content; given up as soon as nothing runs any more.

    Raises:
        StepFailed: `application_unhealthy`, `application_ended`.
    """
    ended = asyncio.create_task(_until_gone(recipes, clock, for_ever=bool(checks)))
    healthy = asyncio.create_task(wait_healthy(checks, sql=sql, folder=folder, redact=redact, told=told))
    try:
        if checks:
            await asyncio.wait({ended, healthy}, return_when=asyncio.FIRST_COMPLETED)
        else:
            await ended
        return healthy.result() if healthy.done() and not ended.done() else await _word_of(ended, healthy)
    finally:
        for task in (ended, healthy):
            task.cancel()
        await asyncio.gather(ended, healthy, return_exceptions=True)


async def _word_of(ended: asyncio.Task[None], healthy: asyncio.Task[tuple[Answer, ...]]) -> tuple[Answer, ...]:
    """Both may have come at once: one that answered well is well."""
    if ended.done() and ended.exception() is not None and not (healthy.done() and healthy.exception() is None):
        ended.result()
    return await healthy


async def _until_gone(recipes: Sequence[Recipe], clock: Clock, *, for_ever: bool) -> None:
    """Ends with an error once something that was started runs no more; without `for_ever` also after a short while."""
    gone: dict[str, int] = {}
    begun = clock.monotonic()
    while for_ever or clock.monotonic() - begun < SETTLE_SECONDS:
        await clock.sleep(LOOK_SECONDS)
        for recipe in recipes:
            gone[recipe.name] = gone.get(recipe.name, 0) + 1 if await lies_still(recipe) else 0
            if gone[recipe.name] >= (GONE_LOOKS if for_ever else 1):
                raise ended_again(recipe.name)


async def lies_still(recipe: Recipe) -> bool:
    """Whether it should run and does not; a tool that gives no answer says nothing."""
    try:
        stands = await recipe.standing()
    except StepFlowError:
        return False
    return stands is not None and not stands.running


def ended_again(name: str) -> StepFailed:
    """The error of something that ended soon after its start."""
    return StepFailed(
        f"{name} ended right after it was started.",
        hint="Its log says why; correct it, then run again.",
        code="application_ended",
    )


def sql_of(ctx: RunContext, *, new: bool) -> Sql:
    """Runs a check's statement, for reading, on the side that the application uses."""

    async def there(statement: str) -> Any:
        async with connection(ctx) as conn, conn.transaction(readonly=True):
            return await conn.fetchval(statement)

    async def here(statement: str) -> Any:
        return await first_value(real_path(ctx.config.source.path), statement, seconds=SQL_SECONDS)

    return there if new else here

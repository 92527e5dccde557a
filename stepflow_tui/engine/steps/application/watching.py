"""Watches the application for the whole life of every engine: availability every second, health checks at their interval.

Both are services. They change nothing and never fail: an application that does not answer is what they are there to see.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from stepflow_tui.engine.application.availability import Sampler
from stepflow_tui.engine.application.health import Answer, ask
from stepflow_tui.engine.model.config_application import Health
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import RunState
from stepflow_tui.engine.steps.application.findings import redact_of
from stepflow_tui.engine.steps.application.state import Stage
from stepflow_tui.engine.steps.application.wellbeing import baseline, sql_of
from stepflow_tui.engine.steps.context import RunContext

AVAILABILITY, HEALTH = "availability", "health"
"""Names of the services."""
APPLICATION = "application"
"""Name of the gauge that the health checks' answers stand in."""
BACK = "rollback"
"""What the time of a rollback is counted as: its phases are undone, none of them goes on."""
LOOK_SECONDS = 1.0
"""How often it is looked which health check is due."""

_RESTING = frozenset({Stage.OLD.value, Stage.NEW.value})
"""Where nobody moves the application. While it is moved, whoever moves it asks how it is."""

_PHASE = (
    "SELECT (SELECT state FROM run) AS run, (SELECT name FROM phase ORDER BY state='pending', state='running' DESC,"
    " iif(state='pending',ord,-ord) LIMIT 1) AS phase"
)
"""The phase that runs, else the last that was begun, else the first."""


async def watch_application(ctx: RunContext) -> None:
    """Start what the config asks for, unless it runs already."""
    config = ctx.config.application
    if config.availability is not None:
        ctx.services.start(AVAILABILITY, partial(_sample, ctx))
    if config.health:
        ctx.services.start(HEALTH, partial(_keep_asking, ctx))


async def _sample(ctx: RunContext) -> None:
    config = ctx.config.application.availability
    assert config is not None
    journal = ctx.journal
    await Sampler(
        config,
        clock=ctx.clock,
        phase=partial(_phase, ctx),
        show=partial(journal.gauge, AVAILABILITY),
        before=journal.gauges().get(AVAILABILITY),
    ).run()


async def _phase(ctx: RunContext) -> str:
    row = (await ctx.journal.fetch(_PHASE))[0]
    return BACK if row["run"] == RunState.ROLLING_BACK.value else str(row["phase"])


async def _keep_asking(ctx: RunContext) -> None:
    """Each check at its interval; all of them at once when the application has been moved."""
    checks = ctx.config.application.health
    due: dict[int, float] = {}
    rows: dict[int, dict[str, Any]] = {}
    while True:
        now = ctx.clock.monotonic()
        if _moving(ctx):
            due.clear()
            rows.clear()
        elif late := [n for n in range(len(checks)) if due.get(n, now) <= now]:
            answers = await asyncio.gather(*(ask_now(ctx, checks[n]) for n in late))
            if not _moving(ctx):
                due |= {n: now + checks[n].interval for n in late}
                rows |= {n: shown(a, ctx.clock.now_ms()) for n, a in zip(late, answers, strict=True)}
                ctx.journal.gauge(APPLICATION, {"health": [rows[n] for n in sorted(rows)]})
        await ctx.clock.sleep(min(LOOK_SECONDS, *(check.interval for check in checks)))


def _moving(ctx: RunContext) -> bool:
    return _gauge(ctx).get("state", Stage.OLD.value) not in _RESTING


def _gauge(ctx: RunContext) -> dict[str, Any]:
    return ctx.journal.gauges().get(APPLICATION, {})


async def ask_now(ctx: RunContext, check: Health) -> Answer:
    """What a check says now. On the old side, what it demands of the contents may be true of the new one only: there the
    service that answers at all is healthy."""
    new, folder, redact = new_side(ctx), ctx.loaded.path.parent, redact_of(ctx)
    sql = sql_of(ctx, new=new)
    if new:
        return await ask(check, sql=sql, folder=folder, redact=redact)
    ((_form, answer),) = await baseline([check], sql=sql, folder=folder, redact=redact)
    return answer


def shown(answer: Answer, at_ms: int) -> dict[str, Any]:
    """An answer as gauges and reports show it."""
    return {"what": answer.what, "ok": answer.ok, "reason": answer.reason, "seconds": answer.seconds, "at_ms": at_ms}


def new_side(ctx: RunContext) -> bool:
    """Whether PostgreSQL is the side that the application uses, as the gauges tell."""
    owner = ctx.journal.gauges().get("live", {}).get("owner")
    return _gauge(ctx).get("state") == Stage.NEW.value or owner == Owner.POSTGRESQL.value

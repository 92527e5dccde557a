"""The way back: PostgreSQL's changes brought to SQLite from the cutover on, and writes taken back by a rollback."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
from contextlib import closing
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.live.reverse import Reverse
from stepflow_tui.engine.live.reverse_job import ReverseJob
from stepflow_tui.engine.model.config import BadValue
from stepflow_tui.engine.model.live import CANARY, CTL, Owner
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.postgres import changelog
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.capture import open_application
from stepflow_tui.engine.sqlite.connect import open_living, real_path
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection, plan_of, target_of
from stepflow_tui.engine.steps.live.canary import TABLE
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS, run_tables
from stepflow_tui.engine.steps.masking import mask_of

if TYPE_CHECKING:
    import asyncpg

SERVICE, FIGURES = "return", "return-figures"
LOOK_SECONDS = 1.0

BACK_SECONDS = 3.0
"""What going back takes besides comparing every row once more: closing the gate, draining, lifting the fence."""


async def returned_tables(ctx: RunContext) -> tuple[TablePlan, ...]:
    """What goes the way back: the run's tables, and the canary."""
    return (*await run_tables(ctx), TABLE)


async def prepare_return(ctx: RunContext) -> None:
    """Install the reverse log, before the freeze: it is silent for our own writes, and nobody else may write yet."""
    async with connection(ctx) as conn:
        snapshot = await changelog.install_changelog(conn, await returned_tables(ctx), wait=GATE_SECONDS)
    await asyncio.to_thread(_set_position, ctx, None)  # of an earlier try: what it logged is gone
    await (await reverse_of(ctx)).seed(snapshot)


async def prove_return(ctx: RunContext) -> None:
    """A row of ours goes there and is deleted over the same way.

    Raises:
        StepFailed: it did not arrive, or did not go.
    """
    reverse = await reverse_of(ctx)
    token = secrets.token_hex(8)
    async with connection(ctx) as conn:
        with pg_errors("prove the way back"):
            # one of an engine that died on the way may sit there
            await conn.execute(
                "insert into _stepflow.canary values (1, $1) on conflict (id) do update set token = excluded.token",
                token,
            )
            await reverse.step()
            there = await asyncio.to_thread(_canary, ctx)
            await conn.execute("delete from _stepflow.canary")
            await reverse.step()
    if there != token or await asyncio.to_thread(_canary, ctx) is not None:
        raise StepFailed(
            "The way back does not carry rows: a row written in PostgreSQL did not arrive in SQLite, or did not go.",
            hint="This is a defect: please report it. Nothing was switched.",
            code="return_not_proven",
        )


async def keep_returning(ctx: RunContext) -> None:
    """Keep SQLite current until the service is stopped."""
    reverse = await reverse_of(ctx)
    ctx.services.start(SERVICE, reverse.run)
    ctx.services.start(FIGURES, lambda: _show(ctx, reverse))


async def reverse_of(ctx: RunContext) -> Reverse:
    """The engine's way back."""
    known = ctx.memory.find(Reverse)
    if known is not None:
        return known
    job = ReverseJob(
        run=ctx.run_id,
        source=real_path(ctx.config.source.path),
        target=await target_of(ctx),
        tables=await returned_tables(ctx),
        encoding=(await plan_of(ctx)).encoding,
        replace=ctx.config.copying.on_bad_value is BadValue.REPLACE,
        mask=await mask_of(ctx),
    )
    made = Reverse(job, control=ctx.control, clock=ctx.clock)
    ctx.resources.push_async_callback(made.close)
    ctx.memory.put(made)
    return made


async def undo_return(ctx: RunContext, conn: asyncpg.Connection) -> None:
    """Take the reverse log away; the way back begins anew with the next cutover."""
    await ctx.services.stop(SERVICE, FIGURES)
    await asyncio.to_thread(_set_position, ctx, None)
    await changelog.remove_changelog(conn, await returned_tables(ctx), wait=GATE_SECONDS)


async def back_seconds(ctx: RunContext) -> int:
    """How long going back takes until the application works again, by what the comparison of every row took before."""
    row = await ctx.journal.step_row("validate.prove")
    return math.ceil(BACK_SECONDS + 1.5 * float(json.loads(row["evidence"] or "{}").get("seconds", 0.0)))


async def _show(ctx: RunContext, reverse: Reverse) -> None:
    """Lag of the way back, and what going back would lose, once a second."""
    seconds = await back_seconds(ctx)
    while True:
        try:
            lag, blockers = await reverse.lag(), await reverse.blockers()
        except StepFlowError:  # the way back itself reports what can't be reached
            await ctx.clock.sleep(LOOK_SECONDS)
            continue
        ctx.journal.gauge("lag", {"changes": lag.changes, "seconds": round(lag.seconds, 1)})
        code = "blocked" if blockers else "drained_first"
        params = {"rows": len(blockers), "changes": lag.changes}
        back = {"code": code, "params": params, "seconds": seconds}
        ctx.journal.gauge("live", {"blockers": len(blockers), "back": back, "owner": Owner.POSTGRESQL.value})
        await ctx.clock.sleep(LOOK_SECONDS)


def _set_position(ctx: RunContext, snapshot: str | None) -> None:
    path = real_path(ctx.config.source.path)
    with sqlite_errors(f"The control row of {path}"), closing(open_application(path)) as opened:
        opened.execute(f"update {CTL} set reverse_snapshot=?", (snapshot,))


def _canary(ctx: RunContext) -> str | None:
    path = real_path(ctx.config.source.path)
    with sqlite_errors(f"Looking for the canary in {path}"), closing(open_living(path)) as opened:
        row = opened.execute(f"select token from {CANARY}").fetchone()
    return None if row is None else str(row[0])

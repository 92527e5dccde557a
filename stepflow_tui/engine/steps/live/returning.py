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
from stepflow_tui.engine.model.config import BadValue, Mode
from stepflow_tui.engine.model.live import CANARY, CTL, Owner
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.postgres import changelog, reverse_rows, touched
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.applying import immediate, open_applying
from stepflow_tui.engine.sqlite.capture_state import read_control
from stepflow_tui.engine.sqlite.connect import open_living, real_path
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection, plan_of, target_of
from stepflow_tui.engine.steps.live.canary import TABLE
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS, run_tables
from stepflow_tui.engine.steps.live.mend_back import follow, way_back
from stepflow_tui.engine.steps.masking import mask_of

if TYPE_CHECKING:
    import asyncpg

SERVICE, FIGURES = "return", "return-figures"
_PROVEN_BY = {Mode.LIVE: "validate.prove", Mode.OFFLINE: "validate.verify"}
"""The step that compared every row."""

LOOK_SECONDS = 1.0
POSITION_SECONDS = 10.0
"""For the source's write lock among its writers; nobody is fenced out meanwhile."""

START_SECONDS = 2.0
"""Until an engine is up that was told to go back."""

KEYS_PER_SECOND, CHANGES_PER_SECOND = 5_000, 1_500
"""Keys compared, and changes brought over, on a slow machine."""


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
    ctx.services.start(SERVICE, lambda: follow(ctx, reverse))
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
    """Take the reverse log away; the way back begins anew with the next cutover. Foreign keys and triggers are off."""
    await ctx.services.stop(SERVICE, FIGURES)
    await _drop_given_up(ctx, conn)
    await asyncio.to_thread(_set_position, ctx, None)
    await changelog.remove_changelog(conn, await returned_tables(ctx), wait=GATE_SECONDS)


async def _drop_given_up(ctx: RunContext, conn: asyncpg.Connection) -> None:
    """Rows that SQLite can't hold were given up: from here on the target is to equal the file, which lacks them."""
    if not await conn.fetchval("select to_regclass('_stepflow.blocker') is not null"):
        return
    blockers = await reverse_rows.blockers(conn, ctx.run_id)
    for table in await run_tables(ctx):
        keys = [b.key for b in blockers if b.table == table.source]
        if keys:
            with pg_errors("remove the rows that were given up"):
                await reverse_rows.delete_rows(conn, table, keys)


async def back_seconds(ctx: RunContext, changes: int) -> int:
    """How long going back takes until the application works again.

    Tables to be compared as a whole take what the comparison of all tables took before the cutover, and half of that more;
    fence, triggers and keys what they took in the cutover.

    Args:
        changes: not brought over yet.
    """
    async with connection(ctx) as conn:
        keys = await touched.count(conn)
        whole = await touched.whole_tables(conn, [t.source for t in await run_tables(ctx)])
    compared, cut_over = await _evidence(ctx, _PROVEN_BY[ctx.config.mode]), await _evidence(ctx, "cutover.cut-over")
    moving, walked = cut_over.get("writes_open_seconds", 0.0), 1.5 * compared.get("seconds", 0.0)
    comparing = walked if whole else min(walked, keys / KEYS_PER_SECOND)  # many keys: tables as a whole
    return math.ceil(START_SECONDS + moving + comparing + changes / CHANGES_PER_SECOND)


async def _evidence(ctx: RunContext, step: str) -> dict[str, float]:
    row = await ctx.journal.step_row(step)
    found = json.loads(row["evidence"] or "{}")
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


async def _show(ctx: RunContext, reverse: Reverse) -> None:
    """Lag of the way back, and what going back would lose, once a second."""
    while True:
        try:
            await _show_once(ctx, reverse)
        except StepFlowError:  # the way back itself reports what can't be reached
            _show_back(ctx, rows=0, changes=0)
        await ctx.clock.sleep(LOOK_SECONDS)


async def _show_once(ctx: RunContext, reverse: Reverse) -> None:
    async with connection(ctx) as conn:
        lag, blockers = await reverse.lag(conn), await reverse.blockers(conn)
        log_bytes = await changelog.size(conn)
    ctx.journal.gauge("lag", {"changes": lag.changes, "seconds": round(lag.seconds, 1)})
    ctx.journal.gauge("live", {"blockers": len(blockers), "owner": Owner.POSTGRESQL.value})
    ctx.journal.gauge("live", {"return_log": {"bytes": log_bytes, "budget": ctx.config.capture.budget}})
    _show_back(ctx, rows=len(blockers), changes=lag.changes, seconds=await back_seconds(ctx, lag.changes))


def _show_back(ctx: RunContext, **shown: int) -> None:
    standing = way_back(ctx)
    blocked = bool(shown["rows"] or standing.code)
    params = {"rows": shown["rows"], "changes": shown["changes"], "reason": standing.reason, "cause": standing.code}
    seconds = {} if "seconds" not in shown else {"seconds": shown["seconds"]}
    if not blocked and not seconds:
        return
    ctx.journal.gauge(
        "live", {"back": {"code": "blocked" if blocked else "drained_first", "params": params, **seconds}}
    )


def _set_position(ctx: RunContext, snapshot: str | None) -> None:
    path = real_path(ctx.config.source.path)
    with closing(open_applying(path)) as opened, immediate(opened, path, POSITION_SECONDS):
        if read_control(opened) is not None:  # gone where the file was released while PostgreSQL was down
            opened.execute(f"update {CTL} set reverse_snapshot=?", (snapshot,))


def _canary(ctx: RunContext) -> str | None:
    path = real_path(ctx.config.source.path)
    with sqlite_errors(f"Looking for the canary in {path}"), closing(open_living(path)) as opened:
        row = opened.execute(f"select token from {CANARY}").fetchone()
    return None if row is None else str(row[0])

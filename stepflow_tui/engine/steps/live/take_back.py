"""Writes go back to SQLite: fence PostgreSQL, drain, prove, lift the fence, switch. Nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing

from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.postgres import progress
from stepflow_tui.engine.sqlite import fence as lite_fence
from stepflow_tui.engine.sqlite.capture import newest
from stepflow_tui.engine.sqlite.connect import open_living, real_path
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.claim import claim_target
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS, shut_target
from stepflow_tui.engine.steps.live.keys import remove_keys
from stepflow_tui.engine.steps.live.proof_back import prove_returned
from stepflow_tui.engine.steps.live.returning import FIGURES, SERVICE, reverse_of, undo_return


async def take_back_writes(ctx: RunContext) -> Evidence:
    """From "PostgreSQL owns writes" to "SQLite owns writes". Running it again finishes what was begun.

    Raises:
        NeedsConfirmation: rows that SQLite can't hold would be lost, and the run's name was not typed.
        Different: both sides are not equal; PostgreSQL keeps refusing writes, and nothing was switched.
    """
    began = time.monotonic()
    await ctx.services.stop(SERVICE, FIGURES)
    reverse = await reverse_of(ctx)
    await reverse.drain()  # while the application still writes: what is left behind the gate is short
    await _need_consent(ctx)
    await shut_target(ctx, wait=GATE_SECONDS)
    tick = await reverse.drain()
    keys = await prove_returned(ctx)
    await _hand_over(ctx)
    ctx.journal.gauge("live", {"owner": Owner.SQLITE.value, "back": None, "blockers": 0})
    seconds = round(time.monotonic() - began, 3)
    await ctx.journal.event("writes_taken_back", {"seconds": seconds, "keys": keys, "blocked": tick.blocked})
    await ctx.journal.audit(ctx.answers.who, "writes taken back", {"reason": ctx.reason, "seconds": seconds})
    return {"owner": Owner.SQLITE.value, "seconds": seconds, "keys_compared": keys, "rows_lost": tick.blocked}


async def _need_consent(ctx: RunContext) -> None:
    blocked = await (await reverse_of(ctx)).blockers()
    if not blocked:
        return
    named = "; ".join(f"{b.table} {'/'.join(b.key)}: {b.reason}" for b in blocked[:10])
    ctx.need_typed(f"{len(blocked)} rows of PostgreSQL can't be held by SQLite and would be lost: {named}.")
    await ctx.journal.event("rows_given_up", {"rows": len(blocked), "named": named}, level=Level.WARNING)


async def _hand_over(ctx: RunContext) -> None:
    """The target names the owner first: a router that reaches both believes it. Then the file takes writes again."""
    path = real_path(ctx.config.source.path)
    await shut_target(ctx, wait=GATE_SECONDS, owner=Owner.SQLITE)
    epoch = await claim_target(ctx)
    async with connection(ctx) as conn:
        # both sides are equal here: the tail goes on from the newest entry, whatever stands in the log before it
        newest_entry = await asyncio.to_thread(_newest, ctx)
        await progress.start(conn, ctx.run_id, epoch, newest_entry)
        await progress.jump(conn, ctx.run_id, epoch, newest_entry)
    await lite_fence.lift_fence(path, owner=Owner.SQLITE, wait=GATE_SECONDS)
    async with connection(ctx) as conn:
        await undo_return(ctx, conn)
        await remove_keys(ctx, conn)


def _newest(ctx: RunContext) -> int:
    path = real_path(ctx.config.source.path)
    with sqlite_errors(f"The change log of {path}"), closing(open_living(path)) as opened:
        return newest(opened)

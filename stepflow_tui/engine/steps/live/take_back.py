"""Writes go back to SQLite: fence PostgreSQL, drain, prove, lift the fence, switch. Nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing

from stepflow_tui.engine.errors import NeedsConfirmation, StepFlowError
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.live.reverse import Reverse, ReverseTick
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
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS, open_target, shut_target
from stepflow_tui.engine.steps.live.given_up import give_up_rows
from stepflow_tui.engine.steps.live.keys import remove_keys
from stepflow_tui.engine.steps.live.mend_back import mend_return
from stepflow_tui.engine.steps.live.proof_back import Returned, prove_returned
from stepflow_tui.engine.steps.live.returning import FIGURES, SERVICE, reverse_of, undo_return
from stepflow_tui.engine.steps.live.sequences import return_sequences
from stepflow_tui.engine.together import to_the_end

Rows = frozenset[tuple[str, tuple[str, ...]]]
FEW, ROUNDS = 500, 100
"""Changes that may well be left behind the gate, and how often they are looked for before it: an application that writes
faster than the way back is stopped all the same."""


async def take_back_writes(ctx: RunContext) -> Evidence:
    """From "PostgreSQL owns writes" to "SQLite owns writes". Running it again finishes what was begun.

    Raises:
        NeedsConfirmation: rows that SQLite can't hold would be lost, and the run's name was not typed.
        Different: both sides are not equal; PostgreSQL takes writes as before, and nothing was switched.
    """
    began = time.monotonic()
    reverse, agreed = await look_back(ctx)
    stood = time.monotonic()
    tick, compared = await _behind_the_gate(ctx, reverse, agreed)
    await _lift(ctx)
    refused = round(time.monotonic() - stood, 3)
    await _clear(ctx)
    ctx.journal.gauge("live", {"owner": Owner.SQLITE.value, "back": None, "blockers": 0})
    seconds = round(time.monotonic() - began, 3)
    told = {"seconds": seconds, "refused_seconds": refused, "keys": compared.keys, "whole": list(compared.whole)}
    await ctx.journal.event("writes_taken_back", {**told, "blocked": tick.blocked})
    await ctx.journal.audit(ctx.answers.who, "writes taken back", {"reason": ctx.reason, "seconds": seconds})
    return {"owner": Owner.SQLITE.value, **told, "rows_lost": tick.blocked}


async def look_back(ctx: RunContext) -> tuple[Reverse, Rows]:
    """What can be done while the application still writes: changes are brought over, so that what is left behind the gate
    is short, and what stands in the way is said before anything is undone.

    Returns:
        The way back, and the rows that somebody agreed to give up.

    Raises:
        StepFlowError: the way back is blocked.
        NeedsConfirmation: as `take_back_writes`.
    """
    await ctx.services.stop(SERVICE, FIGURES)
    reverse = await reverse_of(ctx)
    await _shorten(ctx, reverse)
    return reverse, await _need_consent(ctx, reverse)


async def _shorten(ctx: RunContext, reverse: Reverse) -> None:
    for _ in range(ROUNDS):
        if (await _mending(ctx, reverse, drain=False)).changes <= FEW:
            return


async def _mending(ctx: RunContext, reverse: Reverse, *, drain: bool) -> ReverseTick:
    """Bring changes over; what can be mended on the way is."""
    while True:
        try:
            return await (reverse.drain() if drain else reverse.step())
        except StepFlowError as exc:
            if not await mend_return(ctx, reverse, exc):
                raise


async def _behind_the_gate(ctx: RunContext, reverse: Reverse, agreed: Rows) -> tuple[ReverseTick, Returned]:
    """What happens while nobody may write anywhere. Whatever ends it lets the application write in PostgreSQL again."""
    try:
        await shut_target(ctx, wait=GATE_SECONDS)
        failpoint("back_gate_closed")
        tick = await _mending(ctx, reverse, drain=True)
        await _refuse_others(ctx, reverse, agreed)
        compared = await prove_returned(ctx)
        await give_up_rows(ctx)
        await _hand_over(ctx)
        return tick, compared
    except BaseException:
        await to_the_end(_open_again(ctx))
        raise


async def _open_again(ctx: RunContext) -> None:
    try:
        await open_target(ctx, wait=GATE_SECONDS)
    except StepFlowError as exc:  # what ended the way back is the error to show; the next engine opens the gate
        await ctx.journal.event("gate_not_opened", {"code": exc.code, "message": exc.message}, level=Level.ERROR)


async def _need_consent(ctx: RunContext, reverse: Reverse) -> Rows:
    """The rows that somebody agreed to give up.

    Raises:
        NeedsConfirmation: there are some, and the run's name was not typed.
    """
    async with connection(ctx) as conn:
        blocked = await reverse.blockers(conn)
    if not blocked:
        return frozenset()
    named = "; ".join(f"{b.table} {'/'.join(b.key)}: {b.reason}" for b in blocked[:10])
    ctx.need_typed(f"{len(blocked)} rows of PostgreSQL can't be held by SQLite and would be lost: {named}.")
    data = {"rows": len(blocked), "named": named, "keys": [[b.table, *b.key] for b in blocked]}
    await ctx.journal.event("rows_given_up", data, level=Level.WARNING)
    await ctx.journal.audit(ctx.answers.who, "rows given up", data)
    return frozenset((b.table, b.key) for b in blocked)


async def _refuse_others(ctx: RunContext, reverse: Reverse, agreed: Rows) -> None:
    """Rows that came to the list after somebody agreed were agreed to by nobody."""
    async with connection(ctx) as conn:
        listed = await reverse.blockers(conn)
    late = [b for b in listed if (b.table, b.key) not in agreed]
    if late:
        named = "; ".join(f"{b.table} {'/'.join(b.key)}: {b.reason}" for b in late[:10])
        raise NeedsConfirmation(
            f"{len(late)} more rows were written meanwhile that SQLite can't hold: {named}.",
            hint="PostgreSQL takes writes as before. Change these rows, or go back again and confirm the new list.",
            code="rows_would_be_lost",
        )


async def _hand_over(ctx: RunContext) -> None:
    """The target names the owner, while the file still refuses writes: a router that reaches both believes it."""
    epoch = await claim_target(ctx)
    async with connection(ctx) as conn:
        await return_sequences(ctx, conn)
        # both sides are equal here: the tail goes on from the newest entry, whatever stands in the log before it
        newest_entry = await asyncio.to_thread(_newest, ctx)
        await progress.start(conn, ctx.run_id, epoch, newest_entry)
        await progress.jump(conn, ctx.run_id, epoch, newest_entry)
    await shut_target(ctx, wait=GATE_SECONDS, owner=Owner.SQLITE)
    failpoint("back_owner_moved")


async def _lift(ctx: RunContext) -> None:
    """The file takes writes. Where it can't, PostgreSQL does again; a cancellation leaves it to the next engine, because
    the lifting may be under way still."""
    try:
        await lite_fence.lift_fence(real_path(ctx.config.source.path), owner=Owner.SQLITE, wait=GATE_SECONDS)
    except StepFlowError:
        await _open_again(ctx)
        raise
    failpoint("back_lifted")


async def _clear(ctx: RunContext) -> None:
    """Nobody waits for this: the application writes to SQLite again."""
    async with connection(ctx) as conn:
        await remove_keys(ctx, conn)
        await undo_return(ctx, conn)
    failpoint("back_cleared")


def _newest(ctx: RunContext) -> int:
    path = real_path(ctx.config.source.path)
    with sqlite_errors(f"The change log of {path}"), closing(open_living(path)) as opened:
        return newest(opened)

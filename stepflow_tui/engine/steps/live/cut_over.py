"""The cutover: writes move from SQLite to PostgreSQL, behind a fence, or stay where they were.

Up to the point of no return any failure lifts the fence, and everything is as before; after it, running again finishes
the rest. Which of the two holds is read from the target's gate, never from memory.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, time, timedelta

from stepflow_tui.engine.errors import Refused, StepFlowError, Stopping
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.live.freeze import Frozen, freeze, open_new_side, unfreeze
from stepflow_tui.engine.steps.live.freeze_watch import watched
from stepflow_tui.engine.steps.live.gate import owner_of
from stepflow_tui.engine.steps.live.prove import clean_pass, keep_proving
from stepflow_tui.engine.steps.live.rehearsals import SERVICE as REHEARSALS
from stepflow_tui.engine.steps.live.rehearse import refuse_unready, rehearse
from stepflow_tui.engine.steps.live.returning import keep_returning
from stepflow_tui.engine.steps.live.tailing import keep_tailing
from stepflow_tui.engine.steps.live.take_back import take_back_writes

RETRY_SECONDS = 5.0


class CutOver(PlainStep):
    """Fence, drain, prove, open the way back, switch."""

    name = "cut-over"
    danger = Danger.TYPED
    loses = "nothing: what is written in PostgreSQL is brought back to SQLite first"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Move writes, in as many tries as the config allows.

        Raises:
            StepFlowError: every try failed before the point of no return; the application writes to SQLite as before.
        """
        await _wait_for_time(ctx)
        done = None
        if await owner_of(ctx) is Owner.SQLITE:
            done = await _tries(ctx)
        await open_new_side(ctx)  # an engine that died after the point of no return left the rest to this one
        await ctx.services.stop("switch")  # without a lease reads follow the side that owns writes
        await keep_returning(ctx)
        return {"owner": Owner.POSTGRESQL.value, **(done.facts if done is not None else {"finished": True})}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Move writes back: fence PostgreSQL, drain, prove, lift SQLite's fence.

        Raises:
            NeedsConfirmation: rows would be lost that SQLite can't hold, and the run's name was not typed.
        """
        if await owner_of(ctx) is Owner.SQLITE:
            await unfreeze(ctx)
            return {"owner": Owner.SQLITE.value}
        return await take_back_writes(ctx)


async def _wait_for_time(ctx: RunContext) -> None:
    at = ctx.config.cutover.at
    if at is None:
        return
    due_ms = moment_ms(at, ctx.clock.now_ms())
    if due_ms > ctx.clock.now_ms():
        await ctx.journal.event("cutover_postponed", {"at": at})
    while ctx.clock.now_ms() < due_ms:
        await ctx.control.checkpoint()
        await ctx.clock.sleep(1.0)


def moment_ms(at: str, now_ms: int) -> int:
    """A time of day means the next one, in this machine's time zone; milliseconds since 1970."""
    if "-" in at:
        return int(datetime.fromisoformat(at).timestamp() * 1000)
    now = datetime.fromtimestamp(now_ms / 1000).astimezone()
    due = datetime.combine(now.date(), time.fromisoformat(at), tzinfo=now.tzinfo)
    return int((due if due > now else due + timedelta(days=1)).timestamp() * 1000)


async def _tries(ctx: RunContext) -> Frozen:
    left = ctx.config.cutover.retries
    while True:
        await ctx.control.checkpoint()
        try:
            refuse_unready(await rehearse(ctx))
            return await _one_try(ctx)
        except Stopping:
            raise
        except StepFlowError as exc:
            await ctx.journal.event("cutover_failed", {"code": exc.code, "message": exc.message}, level=Level.WARNING)
            if left == 0 or isinstance(exc, Refused):
                raise
            left -= 1
        await ctx.clock.sleep(RETRY_SECONDS)
        await clean_pass(ctx)  # the next freeze is short only after a fresh proof


async def _one_try(ctx: RunContext) -> Frozen:
    """One freeze. Whatever ends it before the point of no return lifts the fence, a cancellation included."""
    await ctx.services.stop("tail", "verifier", REHEARSALS)
    async with watched(ctx):
        try:
            return await freeze(ctx)
        except BaseException:
            lifting = asyncio.create_task(_back_to_before(ctx))
            await asyncio.shield(lifting)
            raise


async def _back_to_before(ctx: RunContext) -> None:
    if await owner_of(ctx) is Owner.SQLITE:  # asked of the target: the answer to the last commit may have been lost
        await unfreeze(ctx)
        await keep_tailing(ctx)
        await keep_proving(ctx)

"""The cutover: writes move from SQLite to PostgreSQL, behind a fence, or stay where they were.

Up to the point of no return any failure lifts the fence, and everything is as before; after it, running again finishes
the rest. Which of the two holds is read from the target's gate, never from memory.
"""

from __future__ import annotations

from stepflow_tui.engine.errors import Refused, StepFlowError, Stopping, TargetConnectionError
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.live.application import follow_back, follow_writes, prepare_application
from stepflow_tui.engine.steps.live.figures import FULL, keep_figures, refuse_taken_out
from stepflow_tui.engine.steps.live.freeze import Frozen, clear_new_side, freeze, open_new_side, unfreeze
from stepflow_tui.engine.steps.live.freeze_watch import Watch, watched
from stepflow_tui.engine.steps.live.gate import decided_owner
from stepflow_tui.engine.steps.live.prove import keep_proving
from stepflow_tui.engine.steps.live.rehearsals import SERVICE as REHEARSALS
from stepflow_tui.engine.steps.live.rehearse import PASSING, RETRY_SECONDS, refuse_unready, rehearse
from stepflow_tui.engine.steps.live.returning import keep_returning
from stepflow_tui.engine.steps.live.switch_reads import hush_shadow_reads, resume_shadow_reads
from stepflow_tui.engine.steps.live.tailing import keep_tailing
from stepflow_tui.engine.steps.live.take_back import take_back_writes
from stepflow_tui.engine.steps.waiting import wait_for_time
from stepflow_tui.engine.together import to_the_end


class CutOver(PlainStep):
    """Fence, drain, prove, open the way back, switch."""

    name = "cut-over"
    danger = Danger.TYPED
    loses = "nothing: what is written in PostgreSQL is brought back to SQLite first"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Move writes, in as many tries as the config allows; then the application follows them.

        Raises:
            StepFlowError: every try failed before the point of no return, or the application did not come up on the new
                side and writes were taken back; the application writes to SQLite as before.
        """
        done = None
        if await decided_owner(ctx) is Owner.SQLITE:
            await wait_for_time(ctx)
            await prepare_application(ctx)
            done = await _tries(ctx)
        await open_new_side(ctx)  # an engine that died after the point of no return left the rest to this one
        moved = await follow_writes(ctx)
        if done is None:
            await ctx.journal.audit(ctx.answers.who, "cutover", {"finished_by_another_engine": True})
        await ctx.services.stop("switch")  # without a lease reads follow the side that owns writes
        await keep_returning(ctx)
        return {"owner": Owner.POSTGRESQL.value, **moved, **(done.facts if done is not None else {"finished": True})}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Move writes back: fence PostgreSQL, drain, prove, lift SQLite's fence; the application follows them.

        Raises:
            NeedsConfirmation: rows would be lost that SQLite can't hold, and the run's name was not typed.
        """
        if await decided_owner(ctx) is Owner.SQLITE:
            if await capture.is_installed(real_path(ctx.config.source.path), ctx.run_id):
                await unfreeze(ctx)
            else:  # an abort took capture away, and the fence with it
                await clear_new_side(ctx)
            return {"owner": Owner.SQLITE.value, **await follow_back(ctx)}
        taken = await take_back_writes(ctx)
        return {**taken, **await follow_back(ctx)}


async def _tries(ctx: RunContext) -> Frozen | None:
    """The facts of the try that went through; None when its answer was lost: then PostgreSQL owns writes all the same."""
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
            if await decided_owner(ctx) is Owner.POSTGRESQL:
                return None
            if left == 0 or exc.code == FULL or (isinstance(exc, Refused) and exc.code not in PASSING):
                raise
            left -= 1
        await ctx.clock.sleep(RETRY_SECONDS)


async def _one_try(ctx: RunContext) -> Frozen:
    """One freeze. Whatever ends it before the point of no return lifts the fence, a cancellation included."""
    await ctx.services.stop("tail", "verifier", "figures", REHEARSALS)
    refuse_taken_out(ctx)
    await hush_shadow_reads(ctx)
    async with watched(ctx) as watch:
        try:
            frozen = await freeze(ctx, watch)
        except BaseException:
            await to_the_end(_back_to_before(ctx, watch))
            raise
        await watch.done()
        return frozen


async def _back_to_before(ctx: RunContext, watch: Watch) -> None:
    """Lift the fence, unless the target says that PostgreSQL owns writes: the answer to that commit may have been lost.

    Where the target can't be asked, the watcher stays and asks until it answers.
    """
    if watch.decides and await decided_owner(ctx) is Owner.POSTGRESQL:
        await watch.done()
        return
    try:
        await unfreeze(ctx)
    except StepFlowError as exc:
        if isinstance(exc, TargetConnectionError) or exc.code == "capture_missing":
            # the fence is lifted, or gone: what is left in the target the next engine takes away
            await watch.done()
        raise
    await watch.done()
    await keep_figures(ctx)
    await keep_tailing(ctx)
    await keep_proving(ctx)
    resume_shadow_reads(ctx)

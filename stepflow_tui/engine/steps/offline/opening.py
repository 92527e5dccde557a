"""What every engine of an offline run does first: it finds the window as it stands, takes the lock again, or goes back."""

from __future__ import annotations

import asyncio

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import PhaseName, RunState, StepState
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.application.kept_config import keep_config
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.live.application import CUT_OVER, finish_move
from stepflow_tui.engine.steps.live.freeze import open_new_side
from stepflow_tui.engine.steps.live.gate import decided_owner
from stepflow_tui.engine.steps.live.returning import keep_returning
from stepflow_tui.engine.steps.live.snapshot import STEP as SNAPSHOT
from stepflow_tui.engine.steps.offline import keepers, window
from stepflow_tui.engine.steps.offline.lock import STEP as LOCK
from stepflow_tui.engine.steps.offline.lock import fenced, take_lock, unchanged
from stepflow_tui.engine.steps.offline.retreat import STOP, begin_anew
from stepflow_tui.engine.steps.offline.watching import keep_window
from stepflow_tui.engine.steps.offline.window import Stage
from stepflow_tui.engine.steps.opening import open_run


async def open_offline(ctx: RunContext) -> None:
    """Go on where the engine before this one was.

    Raises:
        Held: another run works on this source, or others keep its write lock from us.
        StepFailed: `window_over`: nobody went on in time.
    """
    await open_run(ctx)
    if ctx.loaded.kept:
        await ctx.journal.event("offline_config_kept", {"file": str(ctx.loaded.path)}, level=Level.WARNING)
    if ctx.reason or await ctx.journal.state() is RunState.ROLLING_BACK:
        await ctx.services.stop(window.SERVICE)  # going back starts the old side anyway
        return
    if (await ctx.journal.step_row(STOP))["attempt"] == 0:
        return
    if (await ctx.journal.phase_row(PhaseName.CLEANUP.value))["state"] != StepState.PENDING.value:
        return
    tried = (await ctx.journal.step_row(CUT_OVER))["attempt"] > 0
    owner = await decided_owner(ctx) if tried else Owner.SQLITE
    if tried:
        ctx.journal.gauge("live", {"owner": owner.value})
    if owner is Owner.POSTGRESQL:
        await _new_side(ctx)
    elif await _done(ctx, CUT_OVER):
        raise Drift(
            "The target says that SQLite owns writes, and the run that PostgreSQL does.",
            detail=f"{ctx.target.describe()}: _stepflow.gate",
            hint="Was the database restored to a point before the cutover? Nothing was changed: decide which side is current.",
            code="gate_contradicts",
        )
    elif window.stands(ctx):
        await _in_the_window(ctx)
    else:
        await begin_anew(ctx)


async def _new_side(ctx: RunContext) -> None:
    """After the point of no return: nobody waits longer than for this."""
    if window.stands(ctx):
        await keep_window(ctx)  # the application is not started yet
    await open_new_side(ctx)
    await finish_move(ctx, Owner.POSTGRESQL)
    await keep_returning(ctx)


async def _in_the_window(ctx: RunContext) -> None:
    await keep_window(ctx)
    changeover_of(ctx).need_recipes()  # what was stopped must be startable before writes move
    await asyncio.to_thread(keep_config, ctx.run_dir, ctx.loaded, ctx.journal.clean)
    if window.left_seconds(ctx) <= 0:
        ctx.journal.gauge(window.GAUGE, {"over": True})
        raise window.over(ctx)
    if window.stage_of(ctx) is Stage.DECIDING:
        await window.enter(ctx, Stage.OPEN)  # it is decided: writes did not move
    if await fenced(ctx):
        ctx.services.start(keepers.SERVICE, lambda: keepers.name_keepers(ctx))
    elif await _done(ctx, LOCK):
        await take_lock(ctx)
        if await _done(ctx, SNAPSHOT) and not await unchanged(ctx):
            await ctx.journal.event("offline_changed_meanwhile", {}, level=Level.WARNING)
            await ctx.journal.reopen(PhaseName.BACKFILL.value, begun=True)


async def _done(ctx: RunContext, step: str) -> bool:
    return bool((await ctx.journal.step_row(step))["state"] == StepState.DONE.value)

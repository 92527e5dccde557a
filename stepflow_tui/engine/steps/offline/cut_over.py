"""The switch of an offline run: the way back is opened and proven, writes move, the application is started on the new side."""

from __future__ import annotations

from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.live.application import follow_back, follow_writes
from stepflow_tui.engine.steps.live.freeze import OPEN_SECONDS, open_new_side
from stepflow_tui.engine.steps.live.gate import decided_owner, gate_version, open_target
from stepflow_tui.engine.steps.live.returning import keep_returning, prepare_return, prove_return
from stepflow_tui.engine.steps.live.snapshot import drop_snapshot
from stepflow_tui.engine.steps.live.take_back import take_back_writes
from stepflow_tui.engine.steps.offline import keepers, window
from stepflow_tui.engine.steps.offline.lock import fenced
from stepflow_tui.engine.steps.offline.stop import start_again
from stepflow_tui.engine.steps.offline.watching import end_watch
from stepflow_tui.engine.steps.offline.window import Stage
from stepflow_tui.engine.together import to_the_end


class CutOver(PlainStep):
    """One commit in the target decides; before it the old side is started again whatever happens, after it the run finishes."""

    name = "cut-over"
    danger = Danger.TYPED
    loses = "nothing: what is written in PostgreSQL is brought back to SQLite first"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Switch.

        Raises:
            StepFlowError: something failed before the point of no return, or the application did not come up on the new
                side and writes were taken back; the application works with SQLite as before.
        """
        if await decided_owner(ctx) is Owner.SQLITE:
            await _decide(ctx)
        facts = await finish_switch(ctx)
        await keep_returning(ctx)
        await ctx.journal.audit(ctx.answers.who, "cutover", facts)
        return {"owner": Owner.POSTGRESQL.value, **facts}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Move writes back, then the application.

        Raises:
            NeedsConfirmation: rows would be lost that SQLite can't hold, and the run's name was not typed.
        """
        taken: Evidence = {"owner": Owner.SQLITE.value}
        if await decided_owner(ctx) is Owner.POSTGRESQL:
            taken = await take_back_writes(ctx)
        if window.stage_of(ctx) is Stage.SWITCHED:
            taken |= await follow_back(ctx)
            await window.enter(ctx, Stage.RETURNED)
        elif window.stage_of(ctx) is Stage.DECIDING and not await fenced(ctx):
            await start_again(ctx)  # it was on its way to a side that takes no writes now
        return taken


async def finish_switch(ctx: RunContext) -> Evidence:
    """What is left after the point of no return; all of it may have been done.

    Raises:
        StepFlowError: the application did not come up, and writes were taken back.
    """
    await open_new_side(ctx)
    moved = await follow_writes(ctx)
    return {**moved, **await _settled(ctx)}


async def _decide(ctx: RunContext) -> None:
    """Up to the point of no return, which is not passed when the window is over."""
    version = await gate_version(ctx)
    await prepare_return(ctx)
    await prove_return(ctx)
    await ctx.journal.event("cutover_return_proven", {"seconds": window.since_seconds(ctx)})
    window.refuse_over(ctx)
    await window.enter(ctx, Stage.DECIDING)
    await ctx.journal.event("cutover_point_of_no_return", {})
    await to_the_end(open_target(ctx, wait=OPEN_SECONDS, version=version))
    failpoint("offline_decided")


async def _settled(ctx: RunContext) -> Evidence:
    """The application works: how long it did not, and what nobody needs any more goes."""
    seconds = window.since_seconds(ctx)
    if window.stands(ctx):
        steps = await _step_seconds(ctx)
        await window.enter(ctx, Stage.SWITCHED, actual_seconds=seconds, steps=steps)
    await end_watch(ctx)
    await keepers.hush(ctx)
    await drop_snapshot(ctx)
    shown = window.shown(ctx)
    await ctx.journal.event(
        "offline_switched",
        {"seconds": shown.get("actual_seconds"), "predicted_seconds": shown.get("predicted_seconds")},
    )
    return {"stopped_seconds": shown.get("actual_seconds"), "predicted_seconds": shown.get("predicted_seconds")}


async def _step_seconds(ctx: RunContext) -> dict[str, float]:
    """How long each step took of the time that the application was stopped; the last one until now."""
    now, began = ctx.clock.now_ms(), int(window.shown(ctx)["began_ms"])
    spans = [
        (r["name"], r["started_ms"], r["ended_ms"] or now) for r in await ctx.journal.step_rows() if r["started_ms"]
    ]
    return {name: round((end - max(start, began)) / 1000, 3) for name, start, end in spans if end >= began}

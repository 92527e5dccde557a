"""What every engine of a live run does first: locks, an interrupted freeze lifted, and the services of the phase it is in."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import PhaseName, RunState, StepState
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.capture_state import log_missing
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.live.application import CUT_OVER, finish_move, show_application
from stepflow_tui.engine.steps.live.capture import STEP as CAPTURE
from stepflow_tui.engine.steps.live.capture import installed_of
from stepflow_tui.engine.steps.live.figures import keep_figures
from stepflow_tui.engine.steps.live.freeze import open_new_side, unfreeze
from stepflow_tui.engine.steps.live.gate import decided_owner, owner_of
from stepflow_tui.engine.steps.live.prove import keep_proving
from stepflow_tui.engine.steps.live.returning import keep_returning
from stepflow_tui.engine.steps.live.switch_reads import keep_switching
from stepflow_tui.engine.steps.live.tailing import keep_tailing
from stepflow_tui.engine.steps.live.take_back import look_back
from stepflow_tui.engine.steps.opening import open_run
from stepflow_tui.engine.steps.tables import consent

_GOING = frozenset({StepState.RUNNING.value, StepState.DONE.value, StepState.FAILED.value})


async def open_live(ctx: RunContext) -> None:
    """Go on where the engine before this one was.

    Raises:
        Held: another run works on this source.
    """
    await open_run(ctx)
    await show_application(ctx)
    back = ctx.reason or await ctx.journal.state() is RunState.ROLLING_BACK
    if back or (await ctx.journal.step_row(CAPTURE))["state"] != StepState.DONE.value:
        return
    if await _phase(ctx, PhaseName.CLEANUP) in _GOING:
        return
    if not await _done(ctx, "validate.catch-up"):
        await _still_captured(ctx)
        await keep_figures(ctx)
        return
    await keep_figures(ctx)
    tried = (await ctx.journal.step_row(CUT_OVER))["attempt"] > 0
    owner = await (decided_owner(ctx) if tried else owner_of(ctx))
    ctx.journal.gauge("live", {"owner": owner.value})
    if owner is Owner.POSTGRESQL:
        await open_new_side(ctx)  # an engine may have died on its way: nobody waits longer than for this
        await finish_move(ctx, owner)
        await keep_returning(ctx)
        return
    if await _done(ctx, CUT_OVER):
        raise Drift(
            "The target says that SQLite owns writes, and the run that PostgreSQL does.",
            detail=f"{ctx.target.describe()}: _stepflow.gate",
            hint="Was the database restored to a point before the cutover? Nothing was changed: decide which side is current.",
            code="gate_contradicts",
        )
    if tried:
        await unfreeze(ctx)
        await finish_move(ctx, owner)
    await keep_tailing(ctx)
    if await _done(ctx, "validate.prove"):
        await keep_proving(ctx)
    if await _phase(ctx, PhaseName.SWITCH_READS) in _GOING:
        await keep_switching(ctx)


async def consent_live(ctx: RunContext, phases: Sequence[str]) -> None:
    """Before a rollback: nobody but StepFlow writes to the target while its gate is closed, so only tables that lack the
    gate are looked at. Where PostgreSQL owns writes, what blocks the way back is found before anything is undone."""
    if await owner_of(ctx) is Owner.SQLITE:
        if PhaseName.BACKFILL in phases:
            await consent(ctx, phases)
    elif PhaseName.CUTOVER in phases:
        await changeover_of(ctx).check_back()
        await look_back(ctx)


async def _still_captured(ctx: RunContext) -> None:
    """Where no tail looks yet: what is copied while nothing is captured is copied in vain.

    Raises:
        Drift: `capture_log_missing`, `capture_file_replaced`.
    """
    await installed_of(ctx)
    path = real_path(ctx.config.source.path)
    if not await capture.is_installed(path, ctx.run_id):
        raise log_missing(path, set())


async def _done(ctx: RunContext, step: str) -> bool:
    return bool((await ctx.journal.step_row(step))["state"] == StepState.DONE.value)


async def _phase(ctx: RunContext, phase: PhaseName) -> str:
    return str((await ctx.journal.phase_row(phase.value))["state"])

"""Dry runs of the cutover on demand, from the first clean pass to the cutover: at gates, and while reads are switched."""

from __future__ import annotations

from stepflow_tui.engine.errors import Refused, StepFlowError, Stopping
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.state import PhaseName, RunState, StepState
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.live.orders import OrderKind, orders_of
from stepflow_tui.engine.steps.live.prove import REHEARSALS
from stepflow_tui.engine.steps.live.rehearse import rehearse

SERVICE = REHEARSALS
LOOK_SECONDS = 0.25


def keep_rehearsing(ctx: RunContext) -> None:
    """Rehearse whenever it is asked for, until the service is stopped; a freeze stops it."""
    ctx.services.start(SERVICE, lambda: _take_orders(ctx))


async def _take_orders(ctx: RunContext) -> None:
    while True:
        if orders_of(ctx).take(OrderKind.REHEARSE):
            await _rehearse(ctx)
        await ctx.clock.sleep(LOOK_SECONDS)


async def cutting_over(ctx: RunContext) -> bool:
    """Whether writes are being moved just now. At a gate they are not, whatever an engine before this one had begun."""
    row = await ctx.journal.phase_row(PhaseName.CUTOVER.value)
    return row["state"] == StepState.RUNNING.value and await ctx.journal.state() is not RunState.WAITING


async def _rehearse(ctx: RunContext) -> None:
    """What a dry run finds wrong is told, it ends nothing. Nobody who asked for one is left without an answer."""
    try:
        if await cutting_over(ctx):
            raise Refused("The cutover has begun, and rehearses by itself.", code="no_rehearsal_now")
        await rehearse(ctx)
    except Stopping:
        return  # the engine ends, or the run is aborted: both are told by themselves
    except StepFlowError as exc:
        data = {"code": exc.code, "message": exc.message}
        await ctx.journal.event("cutover_not_rehearsed", data, level=Level.WARNING)

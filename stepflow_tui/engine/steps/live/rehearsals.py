"""Dry runs of the cutover on demand, while reads are being switched and while the run waits before the cutover."""

from __future__ import annotations

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.state import PhaseName, StepState
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.live.orders import OrderKind, orders_of
from stepflow_tui.engine.steps.live.rehearse import rehearse

SERVICE = "rehearsals"
LOOK_SECONDS = 0.25


def keep_rehearsing(ctx: RunContext) -> None:
    """Rehearse whenever it is asked for, until the service is stopped; a freeze stops it."""
    ctx.services.start(SERVICE, lambda: _take_orders(ctx))


async def _take_orders(ctx: RunContext) -> None:
    while True:
        if orders_of(ctx).take(OrderKind.REHEARSE):
            await _rehearse(ctx)
        await ctx.clock.sleep(LOOK_SECONDS)


async def _rehearse(ctx: RunContext) -> None:
    """The cutover rehearses by itself once it has begun. What a dry run finds wrong is told, it ends nothing."""
    row = await ctx.journal.phase_row(PhaseName.CUTOVER.value)
    if row["state"] != StepState.PENDING.value:
        return
    try:
        await rehearse(ctx)
    except StepFlowError as exc:
        data = {"code": exc.code, "message": exc.message}
        await ctx.journal.event("cutover_not_rehearsed", data, level=Level.WARNING)

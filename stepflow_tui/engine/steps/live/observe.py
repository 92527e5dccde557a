"""Observation: the new side owns writes, the old one is kept current, until the window is over or the operator closes it."""

from __future__ import annotations

from stepflow_tui.engine.model.state import RunState
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.live.orders import Order, OrderKind, orders_of
from stepflow_tui.engine.steps.live.returning import keep_returning
from stepflow_tui.engine.steps.settle import settle_checklist

LOOK_SECONDS = 0.5
DAY_SECONDS = 86_400.0
STEP, RENAME = "observe.observe", "rename_source"


class Observe(PlainStep):
    """Keeps the way back open. `then: wait` waits for `stepflow cleanup`, `then: cleanup` for the window's end."""

    name = "observe"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Wait; the service that keeps SQLite current does the work."""
        await keep_returning(ctx)
        await settle_checklist(ctx, times=("after",))
        await ctx.journal.set_state(RunState.OBSERVING)
        window, then = ctx.config.observe.window, ctx.config.observe.then
        window = DAY_SECONDS if window is None else window
        await ctx.journal.event("observing", {"window_seconds": window, "then": then})
        order = await _closed(ctx, window if then == "cleanup" else None)
        await ctx.journal.set_state(RunState.RUNNING)
        return {"closed_by": order.who, RENAME: order.rename}


async def _closed(ctx: RunContext, window: float | None) -> Order:
    """Who closed the observation; a window counts the time that engines watched, whatever the wall clock does."""
    before = float(ctx.journal.gauges().get("live", {}).get("observed_seconds", 0.0))
    began = ctx.clock.monotonic()
    while True:
        await ctx.control.checkpoint()
        if closed := orders_of(ctx).take(OrderKind.CLEANUP):
            return closed[0]
        observed = before + ctx.clock.monotonic() - began
        ctx.journal.gauge("live", {"observed_seconds": round(observed, 1)})
        if window is not None and observed >= window:
            return Order(kind=OrderKind.CLEANUP, who="the end of the window")
        await ctx.clock.sleep(LOOK_SECONDS)

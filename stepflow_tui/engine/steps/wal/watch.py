"""The watch after the conversion: the WAL, the application's health and its alerts, for a while or until somebody ends it."""

from __future__ import annotations

from stepflow_tui.engine.model.finding import blocking
from stepflow_tui.engine.model.state import RunState
from stepflow_tui.engine.sqlite.convert import read_mode
from stepflow_tui.engine.sqlite.holders import find_holders
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.live.orders import OrderKind, orders_of
from stepflow_tui.engine.steps.settle import settle_checklist
from stepflow_tui.engine.steps.wal.convert import mode_note
from stepflow_tui.engine.steps.wal.facts import refuse_replaced, source_of
from stepflow_tui.engine.steps.wal.watching import watch_wal

LOOK_SECONDS = 0.5
IN_USE_SECONDS = 60.0
"""How long it is watched where the config does not say, and somebody uses it."""
SHORT_SECONDS = 120.0
"""A longer watch is an observation: who started the run need not wait for its end."""
GAUGE = "watch"


class Watch(PlainStep):
    """Watches. Nothing ends with it: the way back stays open afterwards."""

    name = "watch"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Wait until the window is over, or somebody says that it is enough."""
        await watch_wal(ctx)
        window = await _window(ctx)
        if window > SHORT_SECONDS:
            await ctx.journal.set_state(RunState.OBSERVING)
        if window > 0:
            await ctx.journal.event("wal_watching", {"window_seconds": round(window)})
        ended = await _ended(ctx, window)
        await ctx.journal.set_state(RunState.RUNNING)
        await _still_wal(ctx)
        await settle_checklist(ctx, times=("after",))
        alerts = await ctx.journal.fetch("SELECT count(*) AS n FROM alert WHERE code LIKE 'wal_%'")
        return {"seconds": ended[0], "ended_by": ended[1], "alerts": int(alerts[0]["n"])}


async def _still_wal(ctx: RunContext) -> None:
    """A mode that somebody has changed back meanwhile is not "done".

    Raises:
        Refused: `source_replaced`.
    """
    mode = await read_mode(source_of(ctx))
    await refuse_replaced(ctx, mode)
    await ctx.journal.check_item("mode-active", ok=mode.wal, note=mode_note(mode))
    found = [] if mode.wal else [blocking("wal_not_active", None, mode=mode.mode or mode.problem)]
    await ctx.journal.set_findings("watch", found)


async def _window(ctx: RunContext) -> float:
    asked = ctx.config.observe.window
    if asked is not None:
        return asked
    return IN_USE_SECONDS if (await find_holders(source_of(ctx))).processes else 0.0


async def _ended(ctx: RunContext, window: float) -> tuple[float, str]:
    """Seconds watched by all engines, and who ended it; the wall clock counts for nothing."""
    before = float(ctx.journal.gauges().get(GAUGE, {}).get("seconds", 0.0))
    began = ctx.clock.monotonic()
    while True:
        watched = round(before + ctx.clock.monotonic() - began, 1)
        ctx.journal.gauge(GAUGE, {"seconds": watched, "window_seconds": window})
        await ctx.control.checkpoint()
        if closed := orders_of(ctx).take(OrderKind.CLEANUP):
            return watched, closed[0].who
        if watched >= window:
            return watched, "the end of the window"
        await ctx.clock.sleep(min(LOOK_SECONDS, max(0.01, window - watched)))

"""Waits until the time that the config names for the change."""

from __future__ import annotations

from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.live.cut_over import moment_ms


async def wait_for_time(ctx: RunContext) -> None:
    """Return at once where the config names none."""
    at = ctx.config.cutover.at
    if at is None:
        return
    due_ms = moment_ms(at, ctx.clock.now_ms())
    if due_ms > ctx.clock.now_ms():
        await ctx.journal.event("cutover_postponed", {"at": at})
    while ctx.clock.now_ms() < due_ms:
        await ctx.control.checkpoint()
        await ctx.clock.sleep(1.0)

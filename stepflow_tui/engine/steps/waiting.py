"""Waits until the time that the config names for the change."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from stepflow_tui.engine.steps.context import RunContext


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


def moment_ms(at: str, now_ms: int) -> int:
    """A time of day means the next one, in this machine's time zone; milliseconds since 1970."""
    if "-" in at:
        return int(datetime.fromisoformat(at).timestamp() * 1000)
    now = datetime.fromtimestamp(now_ms / 1000).astimezone()
    due = datetime.combine(now.date(), time.fromisoformat(at), tzinfo=now.tzinfo)
    return int((due if due > now else due + timedelta(days=1)).timestamp() * 1000)

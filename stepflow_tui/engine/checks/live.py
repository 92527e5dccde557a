"""The checks of runs that move writes, in their declared order, as the registry wants them: in mode copy they find nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from stepflow_tui.engine.checks import (
    live_disk,
    live_journal,
    live_leftovers,
    live_owner,
    live_place,
    live_target,
    live_triggers,
    live_writable,
)
from stepflow_tui.engine.checks.context import COPYING, Check, CheckContext, Needs
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.finding import Finding

Run = Callable[[CheckContext], Awaitable[list[Finding]]]


def _live_only(run: Run) -> Run:
    async def checked(ctx: CheckContext) -> list[Finding]:
        return await run(ctx) if ctx.config.mode is Mode.LIVE else []

    return checked


def _moving(run: Run) -> Run:
    """Live and offline runs: both leave fence and capture in the source while the way back is open."""

    async def checked(ctx: CheckContext) -> list[Finding]:
        return await run(ctx) if ctx.config.mode is not Mode.COPY else []

    return checked


async def _target(ctx: CheckContext) -> list[Finding]:
    """Offline, no change is applied to the target: triggers and cascades there have nothing to act on before the switch."""
    found = await live_target.run(ctx)
    return found if ctx.config.mode is Mode.LIVE else [f for f in found if f.code == "live_target_partitioned"]


LIVE_CHECKS: tuple[Check, ...] = (
    Check(name="live_leftovers", run=_moving(live_leftovers.run), needs=Needs.SOURCE, kinds=COPYING),
    Check(name="live_writable", run=_moving(live_writable.run), needs=Needs.SOURCE, kinds=COPYING),
    Check(name="live_place", run=_moving(live_place.run), needs=Needs.SOURCE, kinds=COPYING),
    Check(name="live_owner", run=_moving(live_owner.run), needs=Needs.SOURCE, kinds=COPYING),
    Check(name="live_journal", run=_live_only(live_journal.run), needs=Needs.SOURCE, kinds=COPYING),
    Check(name="live_triggers", run=_moving(live_triggers.run), needs=Needs.SCHEMA, kinds=COPYING),
    Check(name="live_disk", run=_moving(live_disk.run), needs=Needs.SOURCE, kinds=COPYING),
    Check(name="live_target", run=_moving(_target), needs=Needs.TARGET, kinds=COPYING),
)

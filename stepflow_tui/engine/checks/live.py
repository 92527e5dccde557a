"""The checks of live runs in their declared order, as the registry wants them: in other modes they find nothing."""

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
from stepflow_tui.engine.checks.context import Check, CheckContext, Needs
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.finding import Finding

Run = Callable[[CheckContext], Awaitable[list[Finding]]]


def _live_only(run: Run) -> Run:
    async def checked(ctx: CheckContext) -> list[Finding]:
        return await run(ctx) if ctx.config.mode is Mode.LIVE else []

    return checked


LIVE_CHECKS: tuple[Check, ...] = (
    Check(name="live_leftovers", run=_live_only(live_leftovers.run), needs=Needs.SOURCE),
    Check(name="live_writable", run=_live_only(live_writable.run), needs=Needs.SOURCE),
    Check(name="live_place", run=_live_only(live_place.run), needs=Needs.SOURCE),
    Check(name="live_owner", run=_live_only(live_owner.run), needs=Needs.SOURCE),
    Check(name="live_journal", run=_live_only(live_journal.run), needs=Needs.SOURCE),
    Check(name="live_triggers", run=_live_only(live_triggers.run), needs=Needs.SCHEMA),
    Check(name="live_disk", run=_live_only(live_disk.run), needs=Needs.SOURCE),
    Check(name="live_target", run=_live_only(live_target.run), needs=Needs.TARGET),
)

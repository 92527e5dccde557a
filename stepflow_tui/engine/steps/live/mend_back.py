"""The way back as a service: what disturbs it is mended where that can be done; else it is named as blocked, and observation goes on."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow_tui.engine.bulk.failures import is_retryable
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.live.reverse import Reverse
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.live import CapturePlan, Installed, Owner
from stepflow_tui.engine.sqlite import fence as lite_fence
from stepflow_tui.engine.sqlite.capture_accept import accept_schema
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.live.capture import capture_plan_of, installed_of
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS
from stepflow_tui.engine.steps.live.mend import MENDABLE

TARGET_LOG = frozenset({"changelog_trigger", "reverse_gap"})
"""Changes may be missing in PostgreSQL's log: it is made anew, and every table brought over as a whole."""

RETRY_SECONDS = 5.0
"""Between two looks whether what blocks the way back is gone: a column that was added may be dropped again."""


@dataclass(slots=True)
class WayBack:
    """How the way back stands: `reason` and `code` of what blocks it, "" while it is open."""

    code: str = ""
    reason: str = ""


def way_back(ctx: RunContext) -> WayBack:
    """How it stands in this engine."""
    known = ctx.memory.find(WayBack)
    if known is None:
        known = WayBack()
        ctx.memory.put(known)
    return known


async def follow(ctx: RunContext, reverse: Reverse) -> None:
    """Keep SQLite current until cancelled. Nothing that happens to the way back ends the observation: the application
    works in PostgreSQL, whether or not it can go back.

    Raises:
        Stopping: the engine ends.
    """
    while True:
        try:
            await reverse.step()
            await _open_again(ctx)
            await reverse.run()
        except StepFlowError as exc:
            await _answer(ctx, reverse, exc)
        await ctx.control.checkpoint()


async def mend_return(ctx: RunContext, reverse: Reverse, error: StepFlowError) -> bool:
    """Mend what disturbed the way back. Returns False where this can't be mended; nothing was tried then.

    Raises:
        StepFlowError: mending failed.
    """
    if error.code not in TARGET_LOG | MENDABLE:
        return False
    await ctx.journal.event("return_disturbed", {"code": error.code, "message": error.message}, level=Level.WARNING)
    failpoint("return_disturbed")
    if error.code in TARGET_LOG:
        tick = await reverse.mend()
    else:
        tick = await reverse.refresh(await _accept_file(ctx))
    await ctx.journal.event("return_mended", {"code": error.code, "rows": tick.rows})
    return True


async def _accept_file(ctx: RunContext) -> list[str]:
    """Take the fenced file's schema as it is now, and make its fence whole. Returns the tables to bring over as a whole:
    where the fence had a hole, somebody may have written."""
    path, plan = real_path(ctx.config.source.path), await capture_plan_of(ctx)
    whole = set((await lite_fence.fence_state(path)).tables)
    accepted = await accept_schema(path, await installed_of(ctx), plan)
    for kind in (Installed, CapturePlan):
        ctx.memory.drop(kind)
    ctx.memory.put(accepted.installed)
    ctx.memory.put(accepted.plan)
    failpoint("return_accepted")
    tables = [t.source for t in accepted.plan.tables]
    await lite_fence.raise_fence(path, tables, owner=Owner.POSTGRESQL, wait=GATE_SECONDS)
    return sorted({*accepted.again, *(t for t in tables if t not in whole)})


async def _answer(ctx: RunContext, reverse: Reverse, error: StepFlowError) -> None:
    try:
        if await mend_return(ctx, reverse, error):
            return
    except StepFlowError as exc:
        error = exc
    await _blocked(ctx, error)
    await ctx.clock.sleep(RETRY_SECONDS)


async def _blocked(ctx: RunContext, error: StepFlowError) -> None:
    standing = way_back(ctx)
    if standing.code != error.code:
        level = Level.WARNING if is_retryable(error) else Level.ERROR
        data = {"code": error.code, "message": error.message, "detail": error.detail, "hint": error.hint}
        await ctx.journal.event("return_blocked", data, level=level)
    standing.code, standing.reason = error.code, error.message


async def _open_again(ctx: RunContext) -> None:
    standing = way_back(ctx)
    if standing.code:
        await ctx.journal.event("return_open_again", {"code": standing.code})
    standing.code = standing.reason = ""

"""Capture that was disturbed (a VACUUM, a rebuilt table, a dropped trigger) is made whole again, or the run says why not."""

from __future__ import annotations

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.live import CapturePlan, Installed
from stepflow_tui.engine.postgres import progress, recopy
from stepflow_tui.engine.postgres.live_tables import install_live
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.capture_accept import accept_schema
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.claim import claim_target
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection
from stepflow_tui.engine.steps.live.capture import capture_plan_of, installed_of
from stepflow_tui.engine.steps.live.gate import run_tables
from stepflow_tui.engine.steps.live.recopy import copy_again

MENDABLE = frozenset({"capture_schema_changed", "capture_trigger_missing"})
"""Codes of what can be answered by looking at the schema anew; a replaced file or a missing log can't."""


def mendable(error: BaseException) -> bool:
    """Whether the tail can go on after `mend_capture`."""
    return isinstance(error, Drift) and error.code in MENDABLE


async def let_go(ctx: RunContext, error: BaseException) -> None:
    """Where the log is gone, all that capture still does is to make the application's writes fail: end that."""
    if isinstance(error, Drift) and error.code == "capture_log_missing":
        await capture.let_go(real_path(ctx.config.source.path))
        await ctx.journal.event("capture_removed", {})


async def mend_capture(ctx: RunContext, error: BaseException) -> None:
    """Accept the schema as it is now, and copy again what may have changed unseen. The tail stands still meanwhile.

    Raises:
        Drift: a table is gone or another one, the file was replaced or set back: the run can't go on with its plan.
    """
    code = error.code if isinstance(error, Drift) else "?"
    await ctx.journal.event("capture_disturbed", {"code": code, "message": str(error)}, level=Level.WARNING)
    await _note(ctx, {recopy.EVERY})  # until it is known which ones
    failpoint("mend_noted")
    async with connection(ctx) as conn:
        known = await progress.read(conn, ctx.run_id)
    accepted = await accept_schema(
        real_path(ctx.config.source.path),
        await installed_of(ctx),
        await capture_plan_of(ctx),
        applied=known.w if known is not None else 0,
    )
    failpoint("mend_accepted")
    for kind in (Installed, CapturePlan):
        ctx.memory.drop(kind)
    ctx.memory.put(accepted.installed)
    ctx.memory.put(accepted.plan)
    await _note(ctx, set(accepted.again))
    await ctx.journal.event("capture_mended", {"again": {t: why.value for t, why in accepted.again.items()}})
    await finish_recopy(ctx)


async def finish_recopy(ctx: RunContext) -> None:
    """Copy again what is due, also what an engine before this one left undone. To be called before the tail begins."""
    async with connection(ctx) as conn:
        wanted = await recopy.due(conn, ctx.run_id)
    if not wanted:
        return
    tables = {t.source for t in await run_tables(ctx)} if recopy.EVERY in wanted else set(wanted)
    failpoint("recopy_due")
    await copy_again(ctx, tables)
    failpoint("recopy_done")
    await _note(ctx, ())
    await ctx.journal.event("tables_copied_again", {"tables": sorted(tables)})


async def _note(ctx: RunContext, tables: set[str] | tuple[()]) -> None:
    await claim_target(ctx)
    async with connection(ctx) as conn:
        await install_live(conn)
        await recopy.note(conn, ctx.run_id, tables)

"""Back to the old side by itself: whatever ends the run's work in its window, the application must not stay stopped."""

from __future__ import annotations

import asyncio

from stepflow_tui.engine.model.config import TablesMode
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import PhaseName
from stepflow_tui.engine.postgres import changelog
from stepflow_tui.engine.postgres import fence as pg_fence
from stepflow_tui.engine.postgres.lifted import put_back
from stepflow_tui.engine.steps.application.kept_config import forget_config
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection
from stepflow_tui.engine.steps.live.application import CUT_OVER
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS, decided_owner, run_tables
from stepflow_tui.engine.steps.live.returning import returned_tables
from stepflow_tui.engine.steps.offline import window
from stepflow_tui.engine.steps.offline.cut_over import finish_switch
from stepflow_tui.engine.steps.offline.lock import clear_source, release_lock
from stepflow_tui.engine.steps.offline.stop import start_again
from stepflow_tui.engine.steps.offline.window import Stage

STOP = "capture.stop-application"


async def retreat(ctx: RunContext) -> None:
    """Let writers in, start the old application and see that it is well. The next engine begins anew with stopping it.

    Where PostgreSQL owns writes already, the run goes forward only, and nothing is done here.

    Raises:
        StepFlowError: it can't be started, or the target does not say who owns writes. The watcher tries again.
    """
    if not window.stands(ctx):
        return
    if window.stage_of(ctx) is Stage.DECIDING and await decided_owner(ctx) is Owner.POSTGRESQL:
        return
    await ctx.services.stop(window.SERVICE)
    await release_lock(ctx)
    await clear_source(ctx)
    await start_again(ctx)
    await begin_anew(ctx)


async def begin_anew(ctx: RunContext) -> None:
    """The application has worked since: it is stopped again, and what it wrote is copied."""
    if (await ctx.journal.step_row(STOP))["state"] != "pending":
        await ctx.journal.reopen(PhaseName.CAPTURE.value, begun=True)
        await ctx.journal.forget_answers(f"{PhaseName.CUTOVER.value}.")


async def abandon_offline(ctx: RunContext) -> None:
    """The run is aborted: lock and fence go, the old application works, no row is dropped.

    Raises:
        StepFlowError: a side can't be reached; aborting again goes on.
    """
    await ctx.services.stop()
    if (await ctx.journal.step_row(STOP))["attempt"] == 0:
        return
    if (await ctx.journal.step_row(CUT_OVER))["attempt"] > 0 and await decided_owner(ctx) is Owner.POSTGRESQL:
        if window.stands(ctx):
            await finish_switch(ctx)  # an application that was just being restarted is not left lying
        return
    await retreat(ctx)
    async with connection(ctx) as conn:
        if await conn.fetchval("select to_regclass('_stepflow.gate') is not null"):
            await changelog.remove_changelog(conn, await returned_tables(ctx), wait=GATE_SECONDS)
            await pg_fence.remove_gate(conn, await run_tables(ctx), wait=GATE_SECONDS)
        if ctx.config.target.tables is TablesMode.EXISTING:
            await put_back(conn, ctx.run_id)
    await asyncio.to_thread(forget_config, ctx.run_dir)

"""Abort of a live run: capture, fence and gate are taken out, so that both databases can be used as they are."""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.engine.errors import TargetConnectionError
from stepflow_tui.engine.model.config import TablesMode
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import StepState
from stepflow_tui.engine.postgres import changelog
from stepflow_tui.engine.postgres import fence as pg_fence
from stepflow_tui.engine.postgres.lifted import put_back
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.fence import fence_state
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection
from stepflow_tui.engine.steps.live.application import finish_move, follow_back
from stepflow_tui.engine.steps.live.capture import STEP
from stepflow_tui.engine.steps.live.freeze import open_new_side
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS, owner_of, run_tables
from stepflow_tui.engine.steps.live.returning import returned_tables


async def abandon(ctx: RunContext) -> None:
    """Stop, and remove what would go on working. After the cutover nothing is removed: the way back must stay.

    Raises:
        StepFlowError: a side can't be reached; aborting again goes on.
    """
    await ctx.services.stop()
    if (await ctx.journal.step_row(STEP))["state"] == StepState.PENDING.value:
        return
    path = real_path(ctx.config.source.path)
    try:
        owner = await owner_of(ctx)
    except TargetConnectionError:
        if (await fence_state(path)).fenced:
            raise  # only the target knows who owns writes: nobody may lift the fence without asking it
        await _remove_capture(ctx, path)
        return
    if owner is Owner.POSTGRESQL:
        await open_new_side(ctx)
        await finish_move(ctx, owner)  # an application that was just being moved is not left where nobody takes writes
        return
    await _remove_capture(ctx, path)
    await follow_back(ctx)
    async with connection(ctx) as conn:
        if await conn.fetchval("select to_regclass('_stepflow.gate') is not null"):
            await changelog.remove_changelog(conn, await returned_tables(ctx), wait=GATE_SECONDS)
            await pg_fence.remove_gate(conn, await run_tables(ctx), wait=GATE_SECONDS)
        if ctx.config.target.tables is TablesMode.EXISTING:
            await put_back(conn, ctx.run_id)


async def _remove_capture(ctx: RunContext, path: Path) -> None:
    """With the application's own triggers: the fence, if it stands, goes in the same transaction."""
    await capture.uninstall(path, ctx.run_id)
    await ctx.journal.event("capture_removed", {})

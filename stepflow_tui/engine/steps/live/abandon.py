"""Abort of a live run: capture, fence and gate are taken out, so that both databases can be used as they are."""

from __future__ import annotations

from dataclasses import dataclass
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
from stepflow_tui.engine.steps.live.application import CUT_OVER, finish_move, follow_back
from stepflow_tui.engine.steps.live.capture import STEP
from stepflow_tui.engine.steps.live.freeze import open_new_side
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS, owner_of, run_tables, target_claimed
from stepflow_tui.engine.steps.live.returning import returned_tables

_RELEASED = "source_released"


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
        if await release_unfenced(ctx, path) is None:
            raise  # only the target knows who owns writes: nobody may lift the fence without asking it
        return
    if owner is Owner.POSTGRESQL:
        await open_new_side(ctx)
        await finish_move(ctx, owner)  # an application that was just being moved is not left where nobody takes writes
        return
    await _remove_capture(ctx, path, with_fence=True)
    await follow_back(ctx)
    if not await target_claimed(ctx):
        return
    async with connection(ctx) as conn:
        if await conn.fetchval("select to_regclass('_stepflow.gate') is not null"):
            await changelog.remove_changelog(conn, await returned_tables(ctx), wait=GATE_SECONDS)
            await pg_fence.remove_gate(conn, await run_tables(ctx), wait=GATE_SECONDS)
        if ctx.config.target.tables is TablesMode.EXISTING:
            await put_back(conn, ctx.run_id)


@dataclass(frozen=True, slots=True)
class Released:
    """A source without capture, whose application writes to it. `moved`: the application had been on the new side."""

    moved: bool


async def release_unfenced(ctx: RunContext, path: Path) -> Released | None:
    """Take capture out of a source that takes writes, where the target can't be asked. The application comes first: while
    capture is there, the file itself says that SQLite owns writes, so whoever is killed in between begins here again.

    Returns:
        None where nothing was done: the file is fenced, or nothing in it says who owns writes.

    Raises:
        StepFlowError: the source can't be written, or the application does not come up on the old side.
    """
    if not await capture.is_installed(path, ctx.run_id):
        known = await _released(ctx) or not (await ctx.journal.step_row(CUT_OVER))["attempt"]
        return Released(moved=False) if known else None
    state = await fence_state(path)
    if state.fenced or state.owner is Owner.POSTGRESQL:
        return None
    await ctx.services.stop()
    moved = bool(await follow_back(ctx))
    await _remove_capture(ctx, path)
    await ctx.journal.event(_RELEASED, {})
    return Released(moved=moved)


async def _released(ctx: RunContext) -> bool:
    """Whether it was this that took capture out, and nothing put it in again."""
    rows = await ctx.journal.fetch(
        "SELECT code FROM event WHERE code IN (?, 'capture_installed') ORDER BY seq DESC LIMIT 1", (_RELEASED,)
    )
    return bool(rows) and rows[0]["code"] == _RELEASED


async def _remove_capture(ctx: RunContext, path: Path, *, with_fence: bool = False) -> None:
    """With the application's own triggers: the fence, if it stands, goes in the same transaction."""
    await capture.uninstall(path, ctx.run_id, with_fence=with_fence)
    await ctx.journal.event("capture_removed", {})

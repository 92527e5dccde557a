"""A rollback while PostgreSQL can't be reached: the source becomes what it was at once, and what is left there is named."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.errors import TargetConnectionError
from stepflow_tui.engine.model.state import PhaseName
from stepflow_tui.engine.sqlite.connect import real_path, shown
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.live.abandon import release_unfenced
from stepflow_tui.engine.steps.live.capture import STEP
from stepflow_tui.engine.steps.live.gate import run_tables, target_claimed


async def release_source(
    ctx: RunContext, phases: Sequence[str], error: TargetConnectionError
) -> TargetConnectionError | None:
    """Take capture out of the source, which does not depend on the target before its cutover, nor once writes are back.

    Args:
        phases: what is to be undone.
        error: why the target can't be asked.

    Returns:
        What is left in the target, with the command that removes it; None where nothing was done: a fenced source is not
        touched, because only the target knows who owns writes, and a part of the way back leaves capture where it is.

    Raises:
        StepFlowError: the source can't be written, or the application does not come up on the old side.
    """
    if PhaseName.CAPTURE not in phases or (await ctx.journal.step_row(STEP))["attempt"] == 0:
        return None
    path = real_path(ctx.config.source.path)
    released = await release_unfenced(ctx, path)
    if released is None:
        return None
    file = shown(path)
    told = (
        f"{file} is as it was before the run and the application is back on it, but PostgreSQL can't be reached: what was made there is left there."
        if released.moved
        else f"{file} is as it was before the run, but PostgreSQL can't be reached: what was made there is left there."
    )
    return TargetConnectionError(
        told,
        detail=f"left in {_where(ctx)}: {await _left(ctx)}. {error.message} {error.detail}".rstrip(),
        hint=f"`stepflow rollback {ctx.run_id}` again once it is up: it removes them, and the run is rolled back.",
        code="target_left_behind",
    )


def _where(ctx: RunContext) -> str:
    return ctx.target.describe() if ctx.has_target else "the target"


async def _left(ctx: RunContext) -> str:
    """What the run has begun to make, as far as the journal knows."""
    made = []
    if (await ctx.journal.step_row("backfill.create-tables"))["attempt"]:
        made = [t.target for t in await run_tables(ctx)]
    if await target_claimed(ctx):
        made.append("the schema _stepflow")
    return ", ".join(made) or "nothing"

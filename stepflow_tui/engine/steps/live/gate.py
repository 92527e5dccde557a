"""The write gate of the target, as steps use it: closed from the catch-up on, opened by the cutover."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.state import StepState
from stepflow_tui.engine.postgres import fence
from stepflow_tui.engine.postgres.live_tables import install_live
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection, plan_of

if TYPE_CHECKING:
    import asyncpg

_GATED_BY = {Mode.LIVE: "validate.catch-up", Mode.OFFLINE: "backfill.close-target"}
"""The step that closes the gate for the first time."""

GATE_SECONDS = 30.0
"""Until every table's lock must have been there at once, while nobody waits for it."""


async def run_tables(ctx: RunContext) -> tuple[TablePlan, ...]:
    """The tables that are captured: their changes go both ways."""
    return tuple(t for t in (await plan_of(ctx)).tables if t.impossible is None and t.live_key)


async def close_target(ctx: RunContext) -> None:
    """Refuse everybody else's writes in the target until the cutover opens it."""
    async with connection(ctx) as conn:
        await install_live(conn)
        await fence.install_gate(conn, await run_tables(ctx), wait=GATE_SECONDS)


async def target_claimed(ctx: RunContext) -> bool:
    """Whether the run has begun to change the target: before that, nothing has to be asked or undone there."""
    return bool((await ctx.journal.step_row("backfill.claim-target"))["attempt"])


async def owner_of(ctx: RunContext) -> Owner:
    """The side that owns writes, as the target says now: it is the truth about it.

    Raises:
        Drift: the target has lost what said so.
        TargetConnectionError: it can't be asked.
    """
    if not await target_claimed(ctx):
        return Owner.SQLITE
    async with connection(ctx) as conn:
        if not await _there(ctx, conn):
            return Owner.SQLITE
        return (await fence.gate_state(conn)).owner


async def decided_owner(ctx: RunContext) -> Owner:
    """The side that owns writes, decided: no change of it is under way any more, and none can come of an earlier decision.

    Raises:
        Drift: the target has lost what said so.
        TargetConnectionError: it can't be asked.
    """
    async with connection(ctx) as conn:
        if not await _there(ctx, conn):
            return Owner.SQLITE
        return (await fence.decide_owner(conn, wait=GATE_SECONDS)).owner


async def _there(ctx: RunContext, conn: asyncpg.Connection) -> bool:
    if await conn.fetchval("select to_regclass('_stepflow.gate') is not null"):
        return True
    installed = await ctx.journal.step_row(_GATED_BY[ctx.config.mode])
    if installed["state"] == StepState.DONE.value:
        raise Drift(
            "The target no longer says who owns writes: StepFlow's tables in it are gone.",
            detail=f"{ctx.target.describe()}: _stepflow.gate is missing",
            hint="Was the database restored from a backup, or is it another one? Bring back the one of this run.",
            code="gate_missing",
        )
    return False


async def gate_version(ctx: RunContext) -> int:
    """The version that the next change of the gate must name."""
    async with connection(ctx) as conn:
        return (await fence.decide_owner(conn, wait=GATE_SECONDS)).version


async def open_target(ctx: RunContext, *, wait: float, version: int | None = None) -> None:
    """Let the application write in PostgreSQL, which owns writes from this commit on; harmless when it is done already.

    Args:
        version: of the gate as it was when the freeze began; None: as it is now.
    """
    async with connection(ctx) as conn:
        now = await fence.gate_state(conn)
        if now.owner is Owner.SQLITE or not now.open:
            named = now.version if version is None else version
            await fence.open_writes(conn, await run_tables(ctx), version=named, owner=Owner.POSTGRESQL, wait=wait)


async def shut_target(ctx: RunContext, *, wait: float, owner: Owner | None = None) -> None:
    """Refuse the application's writes in PostgreSQL; when it returns, everything that was written is visible."""
    async with connection(ctx) as conn:
        now = await fence.gate_state(conn)
        if now.open or owner not in (None, now.owner):
            await fence.close_writes(conn, await run_tables(ctx), version=now.version, owner=owner, wait=wait)

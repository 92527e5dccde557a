"""The write gate of the target, as steps use it: closed from the catch-up on, opened by the cutover."""

from __future__ import annotations

from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.postgres import fence
from stepflow_tui.engine.postgres.live_tables import install_live
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection, plan_of

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


async def owner_of(ctx: RunContext) -> Owner:
    """The side that owns writes, as the target says: it is the truth about it."""
    async with connection(ctx) as conn:
        if not await conn.fetchval("select to_regclass('_stepflow.gate') is not null"):
            return Owner.SQLITE
        return (await fence.gate_state(conn)).owner


async def open_target(ctx: RunContext, *, wait: float) -> None:
    """Let the application write in PostgreSQL, which owns writes from this commit on; harmless when it is done already."""
    async with connection(ctx) as conn:
        now = await fence.gate_state(conn)
        if now.owner is Owner.SQLITE or not now.open:
            tables = await run_tables(ctx)
            await fence.open_writes(conn, tables, version=now.version, owner=Owner.POSTGRESQL, wait=wait)


async def shut_target(ctx: RunContext, *, wait: float, owner: Owner | None = None) -> None:
    """Refuse the application's writes in PostgreSQL; when it returns, everything that was written is visible."""
    async with connection(ctx) as conn:
        now = await fence.gate_state(conn)
        if now.open or owner not in (None, now.owner):
            await fence.close_writes(conn, await run_tables(ctx), version=now.version, owner=owner, wait=wait)

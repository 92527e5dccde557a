"""Takes the target for this run: control schema, advisory lock, ownership marker, epoch."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.config import TablesMode
from stepflow_tui.engine.plan.quote import pg_ident
from stepflow_tui.engine.postgres import control
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import anchor_audit, connection, plan_of, target_of

if TYPE_CHECKING:
    import asyncpg


@dataclass(frozen=True, slots=True)
class TargetEpoch:
    """The epoch this engine writes into the target's ledger with."""

    value: int


@dataclass(frozen=True, slots=True)
class Holder:
    """The session that holds the target's advisory lock for the life of the engine."""

    conn: asyncpg.Connection


async def hold_target(ctx: RunContext) -> None:
    """Take the target's advisory lock, once per engine. Changes nothing.

    Raises:
        Held: another engine works on this target.
    """
    if ctx.memory.find(Holder) is not None:
        return
    target = await target_of(ctx)
    conn = await target.connect()
    ctx.resources.push_async_callback(_let_go, conn)
    await control.take_lock(conn, target.schema)
    ctx.memory.put(Holder(conn))


async def _let_go(conn: asyncpg.Connection) -> None:
    with suppress(Exception):  # the lock ends with the session, whichever way that ends
        await conn.close(timeout=5)


class ClaimTarget(PlainStep):
    """The first change of the target. The session that holds the lock lives as long as the engine."""

    name = "claim-target"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Install, lock, mark as ours. Whether the schema was there before is remembered: a rollback drops only what we made."""
        await hold_target(ctx)
        conn = ctx.memory.get(Holder).conn
        existed = await conn.fetchval("select to_regnamespace($1) is not null", pg_ident(ctx.target.schema))
        epoch = await claim_target(ctx)
        await anchor_audit(ctx)
        return {"target": ctx.target.describe(), "epoch": epoch, "schema_existed": bool(existed)}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Remove the control schema: the last thing of ours in the target."""
        async with connection(ctx) as conn:
            await control.drop_control_schema(conn)
        return {"control_schema": "dropped"}


async def claim_target(ctx: RunContext) -> int:
    """Claim the target once per engine and return the epoch for ledger writes.

    Raises:
        Held: another run or engine holds the target.
        Refused: tables appeared since the checks.
    """
    known = ctx.memory.find(TargetEpoch)
    if known is not None:
        return known.value
    await hold_target(ctx)
    holder = ctx.memory.get(Holder).conn
    await control.install(holder, ctx.run_id)
    await control.claim(holder, ctx.run_id, ctx.target.schema)
    epoch = await control.raise_epoch(holder, ctx.run_id)
    if ctx.config.target.tables is TablesMode.CREATE:
        await _refuse_strangers(ctx, epoch)
    ctx.memory.put(TargetEpoch(epoch))
    return epoch


async def _refuse_strangers(ctx: RunContext, epoch: int) -> None:
    """A table of a planned name that this run did not make: somebody was faster than the plan."""
    if epoch > 1:  # resumed: what is there is ours
        return
    plan = await plan_of(ctx)
    async with connection(ctx) as conn:
        rows = await conn.fetch(
            "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = $1 and c.relname = any($2::text[]) order by 1",
            ctx.target.schema,
            [t.name for t in plan.tables if t.impossible is None],
        )
    if rows:
        raise Refused(
            "The target already has tables of these names.",
            detail=", ".join(r[0] for r in rows[:20]),
            hint="Use an empty schema (`target.schema`), or `target.tables: existing` for tables made beforehand.",
            code="target_not_empty",
        )

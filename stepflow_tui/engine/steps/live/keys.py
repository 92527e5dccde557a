"""Foreign keys and the application's triggers of a live run: made under the fence, taken off again when it is lifted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepflow_tui.engine.model.config import TablesMode
from stepflow_tui.engine.model.plan import Plan, Stage, Statement
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.postgres import control
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.lifted import LOCK_SECONDS, lift
from stepflow_tui.engine.postgres.table_locks import in_tries, names_of
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import plan_of

if TYPE_CHECKING:
    import asyncpg

STAGES = (Stage.FOREIGN_KEY, Stage.TRIGGER)
_KEYS = """
select c.relname::text as tb, con.conname::text as name
from pg_constraint con join pg_class c on c.oid = con.conrelid join pg_namespace n on n.oid = c.relnamespace
where con.contype = 'f' and con.conparentid = 0 and n.nspname = $1 and c.relname = any($2::text[])
"""


async def add_keys(ctx: RunContext, conn: asyncpg.Connection) -> list[str]:
    """Make the foreign keys NOT VALID, and the triggers. Returns the server's words about optional ones it refused."""
    plan = await plan_of(ctx)
    refused = []
    for statement in _statements(plan):
        outcome = await control.run_statement(conn, ctx.run_id, statement)
        if outcome.refused:
            refused.append(f"{statement.id}: {outcome.refused}")
            if statement.object_id is not None:
                reason = f"PostgreSQL refused it: {outcome.refused}"
                await ctx.journal.set_object(statement.object_id, carried=False, reason=reason)
    return refused


async def remove_keys(ctx: RunContext, conn: asyncpg.Connection) -> None:
    """Take them off: catching up deletes and inserts rows, which a cascade or a trigger would turn into damage."""
    plan = await plan_of(ctx)
    tables = [t.name for t in plan.tables if t.impossible is None]
    if ctx.config.target.tables is TablesMode.EXISTING:
        await lift(conn, ctx.run_id, ctx.target.schema, tables)
        return

    async def off(conn: asyncpg.Connection) -> None:
        for key in await conn.fetch(_KEYS, ctx.target.schema, tables):
            await conn.execute(
                f"alter table {pg_name(ctx.target.schema, key['tb'])} drop constraint {pg_ident(key['name'])}"
            )
        for statement in reversed(_statements(plan)):
            if statement.undo:
                await conn.execute(statement.undo)
        ids = [s.id for s in (*_statements(plan), *plan.stage(Stage.VALIDATE))]
        await control.forget_statements(conn, ctx.run_id, ids)

    with pg_errors("take the foreign keys off"):
        await in_tries(conn, names_of([t for t in plan.tables if t.impossible is None]), off, wait=LOCK_SECONDS)


def _statements(plan: Plan) -> list[Statement]:
    return [s for stage in STAGES for s in plan.stage(stage)]

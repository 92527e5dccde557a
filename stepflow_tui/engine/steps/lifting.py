"""Tables made beforehand: their foreign keys are off while the rows are loaded."""

from __future__ import annotations

from stepflow_tui.engine.model.finding import warning
from stepflow_tui.engine.postgres import control
from stepflow_tui.engine.postgres.lifted import lift, put_back
from stepflow_tui.engine.postgres.orphans import orphan_counts
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.claim import claim_target
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection, plan_of


class LiftKeys(PlainStep):
    """Takes the keys off; undoing it puts them back."""

    name = "lift-keys"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Record and drop, in one transaction."""
        await claim_target(ctx)
        tables = [t.name for t in (await plan_of(ctx)).tables if t.impossible is None]
        async with connection(ctx) as conn:
            return {"lifted": await lift(conn, ctx.run_id, ctx.target.schema, tables)}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Put back what is still off."""
        async with connection(ctx) as conn:
            left = await put_back(conn, ctx.run_id) if await control.installed(conn) else []
        return {"not_valid": left}


class RestoreKeys(PlainStep):
    """Puts the keys back and validates them; orphans of the source leave a key NOT VALID, and it is named."""

    name = "restore-keys"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Add, validate, count orphans."""
        await claim_target(ctx)
        async with connection(ctx) as conn:
            left = await put_back(conn, ctx.run_id)
            counts = await orphan_counts(conn, ctx.target.schema) if left else {}
        found = [
            warning("key_left_not_valid", f"{table}.{name}", count=count)
            for (table, name), count in counts.items()
            if f"{table}.{name}" in left
        ]
        await ctx.journal.set_findings("restore-keys", found)
        return {"not_valid": left}

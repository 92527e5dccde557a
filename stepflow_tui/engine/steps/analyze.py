"""Gives PostgreSQL's planner its statistics, table by table."""

from __future__ import annotations

from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection, plan_of


class Analyze(PlainStep):
    """ANALYZE for every table of the run."""

    name = "analyze"

    async def apply(self, ctx: RunContext) -> Evidence:
        """One table after the other: it is a matter of moments."""
        tables = [t for t in (await plan_of(ctx)).tables if t.impossible is None]
        async with connection(ctx) as conn:
            for n, table in enumerate(tables, 1):
                await ctx.control.checkpoint()
                with pg_errors(f"analyze {table.target}"):
                    await conn.execute(f"analyze {pg_name(table.schema, table.name)}")
                ctx.report(Progress(step=self.name, done=n, total=len(tables), unit="tables"))
        return {"tables": len(tables)}

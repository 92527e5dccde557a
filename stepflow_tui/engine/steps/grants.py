"""`target.owner` and `target.grant`: the application's roles can use what the run made."""

from __future__ import annotations

import json

from stepflow_tui.engine.model.config import TablesMode
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.grants import Made, grant_sql
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.claim import claim_target
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection, plan_of

_MADE = """
select c.relkind::text as kind, c.relname::text as name,
  exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')) as owned
from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind in ('r', 'v', 'S') order by 2
"""
_FUNCTIONS = "select p.proname::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = $1 and p.pronargs = 0 and p.prorettype = 'trigger'::regtype order by 1"


class Grants(PlainStep):
    """Rights for tables, views, sequences and functions; then ownership, after which we may give none any more."""

    name = "grants"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Run the grants in one transaction; repeating them changes nothing."""
        await claim_target(ctx)
        target = ctx.config.target
        plan = await plan_of(ctx)
        claimed = json.loads((await ctx.journal.step_row("backfill.claim-target"))["evidence"] or "{}")
        existing = target.tables is TablesMode.EXISTING
        async with connection(ctx) as conn:
            with pg_errors("read what the run made"):
                rows = await conn.fetch(_MADE, ctx.target.schema)
                functions = [r[0] for r in await conn.fetch(_FUNCTIONS, ctx.target.schema)]
            ours = {t.name for t in plan.tables}
            made = Made(
                schema=ctx.target.schema,
                schema_made=not claimed.get("schema_existed", True),
                tables=[r["name"] for r in rows if r["kind"] == "r" and r["name"] in ours],
                views=[r["name"] for r in rows if r["kind"] == "v" and not existing],
                sequences=[r["name"] for r in rows if r["kind"] == "S"],
                free_sequences=[r["name"] for r in rows if r["kind"] == "S" and not r["owned"]],
                functions=[] if existing else functions,
            )
            grant = {role: access.value for role, access in target.grant.items()}
            statements = grant_sql(made, owner=target.owner, grant=grant)
            with pg_errors("grant rights"):
                async with conn.transaction():
                    for sql in statements:
                        await conn.execute(sql)
        return {"statements": len(statements)}

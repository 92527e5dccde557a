"""The plan of a conversion in place: which tables are compared, which steps are done."""

from __future__ import annotations

from stepflow_tui.engine.plan.in_place import plan_in_place
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import frozen_of
from stepflow_tui.engine.steps.make_plan import listed_phases, refuse_drift
from stepflow_tui.engine.steps.settle import settle_checklist
from stepflow_tui.engine.steps.wal.facts import converts, recorded


class PlanInPlace(PlainStep):
    """Tables, steps, hash. Changes nothing."""

    name = "plan"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Plan, and journal it.

        Raises:
            Drift: `run --plan` named another plan.
        """
        frozen, record = await frozen_of(ctx), await recorded(ctx)
        rows = {name: table.rows for name, table in record.content.tables.items()}
        plan = plan_in_place(frozen.schema, ctx.config, await listed_phases(ctx), rows)
        await refuse_drift(ctx, plan)
        await ctx.journal.save_plan(plan)
        ctx.memory.put(plan)
        await settle_checklist(ctx, times=("before",))
        return {"hash": plan.hash, "tables": len(plan.tables), "converts": await converts(ctx)}

"""Runs the plan's statements of some stages, each once by its id, several at a time where they don't depend on each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepflow_tui.engine.model.plan import Plan, Stage, Statement
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.model.sensitive import hidden_names
from stepflow_tui.engine.model.table import TableState
from stepflow_tui.engine.plan.quote import pg_ident
from stepflow_tui.engine.postgres import control
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.orphans import orphan_counts
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.claim import claim_target
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection, plan_of, target_of
from stepflow_tui.engine.steps.masking import mask_of
from stepflow_tui.engine.together import together

if TYPE_CHECKING:
    import asyncpg

PARALLEL = frozenset({Stage.KEY, Stage.SEQUENCE, Stage.CHECK, Stage.VALIDATE})
"""Stages whose statements of different tables don't depend on each other."""

STREAMS = 2
"""Two builders keep a two-core server busy; each sorts in its own memory."""

BUILD_MEMORY = "128MB"


class RunStatements(PlainStep):
    """The statements of some stages, in order. A refused optional one turns its object into "not carried"."""

    def __init__(self, name: str, *stages: Stage) -> None:
        self.name = name
        self.stages = stages

    async def apply(self, ctx: RunContext) -> Evidence:
        """Run what is left of the stages."""
        await claim_target(ctx)
        plan = await plan_of(ctx)
        counts = [0, 0]  # done, refused: one progress for all stages of the step
        total = sum(len(plan.stage(stage)) for stage in self.stages)
        for stage in self.stages:
            statements = plan.stage(stage)
            if not statements:
                continue
            lanes = _lanes(statements) if stage in PARALLEL else [list(statements)]
            await self._run_lanes(ctx, lanes, counts, total)
        if Stage.KEY in self.stages:
            await _mark_ready(ctx, plan)
        if Stage.VALIDATE in self.stages:
            await _name_orphans(ctx, plan)
        return {"statements": counts[0], "refused": counts[1]}

    async def _run_lanes(self, ctx: RunContext, lanes: list[list[Statement]], counts: list[int], total: int) -> None:
        waiting = list(reversed(lanes))
        hidden = await _hidden(ctx)

        async def work() -> None:
            target = await target_of(ctx)
            conn = await _builder(target)
            try:
                while waiting:
                    for statement in waiting.pop():
                        await ctx.control.checkpoint()
                        outcome = await control.run_statement(
                            conn, ctx.run_id, statement, hidden.get(statement.table, hidden[None])
                        )
                        counts[0] += 1
                        counts[1] += bool(outcome.refused)
                        if outcome.refused:
                            await _name_refused(ctx, statement, outcome.refused)
                        ctx.report(Progress(step=self.name, done=counts[0], total=total, unit="objects"))
            finally:
                await conn.close(timeout=5)

        await together(work() for _ in range(min(STREAMS, len(lanes))))

    async def undo(self, ctx: RunContext) -> Evidence:
        """Take back what dropping the tables would not; the newest first."""
        plan = await plan_of(ctx)
        mine = [s for stage in self.stages for s in plan.stage(stage) if s.undo]
        async with connection(ctx) as conn:
            there = await control.installed(conn)
            done = await control.done_statements(conn, ctx.run_id) if there else frozenset(s.id for s in mine)
            undone = [s for s in reversed(mine) if s.id in done]
            for statement in undone:
                with pg_errors(f"undo {statement.id}"):
                    async with conn.transaction():
                        await conn.execute(statement.undo)
                        if there:
                            await control.forget_statements(conn, ctx.run_id, [statement.id])
        return {"undone": len(undone)}


async def _hidden(ctx: RunContext) -> dict[str | None, frozenset[str]]:
    """The target's names of the sensitive columns, by source table; statements of no table may be about any."""
    mask, tables = await mask_of(ctx), (await plan_of(ctx)).tables
    found: dict[str | None, frozenset[str]] = {t.source: hidden_names(mask, t) for t in tables}
    return found | {None: hidden_names(mask, *tables)}


def _lanes(statements: Sequence[Statement]) -> list[list[Statement]]:
    """Statements of one table stay in order on one connection; different tables run side by side."""
    by_table: dict[str | None, list[Statement]] = defaultdict(list)
    for statement in statements:
        by_table[statement.table].append(statement)
    return list(by_table.values())


async def _builder(target: Target) -> asyncpg.Connection:
    conn = await target.connect()
    await conn.execute(f"set maintenance_work_mem = '{BUILD_MEMORY}'")
    return conn


async def _name_refused(ctx: RunContext, statement: Statement, words: str) -> None:
    if statement.object_id is not None and statement.stage is not Stage.VALIDATE:
        await ctx.journal.set_object(statement.object_id, carried=False, reason=f"PostgreSQL refused it: {words}")


async def _name_orphans(ctx: RunContext, plan: Plan) -> None:
    """Foreign keys that stayed NOT VALID are carried, with the number of rows that have no parent."""
    async with connection(ctx) as conn:
        counts = await orphan_counts(conn, ctx.target.schema)
    for statement in plan.stage(Stage.VALIDATE):
        table = plan.table(statement.table) if statement.table is not None else None
        for (child, constraint), count in counts.items():
            named = statement.sql.rstrip("; ").endswith(pg_ident(constraint))
            if table is not None and table.name == child and named and statement.object_id is not None:
                reason = f"{count} orphans: left NOT VALID, new rows are checked"
                await ctx.journal.set_object(statement.object_id, carried=True, reason=reason)


async def _mark_ready(ctx: RunContext, plan: Plan) -> None:
    for table in plan.tables:
        if table.impossible is None:
            await ctx.journal.update_table(table.source, state=TableState.READY)

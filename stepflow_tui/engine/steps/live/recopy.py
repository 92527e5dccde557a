"""Tables whose changes the log may have missed are copied again, from a new snapshot, while the tail stands still."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.live.tail_classes import keep_classes
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.model.live import WRITER
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import pg_literal, pg_name
from stepflow_tui.engine.postgres import ledger
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.copy import copy_from
from stepflow_tui.engine.steps.facts import connection, plan_of
from stepflow_tui.engine.steps.live.gate import run_tables
from stepflow_tui.engine.steps.live.snapshot import drop_snapshot, new_snapshot


async def copy_again(ctx: RunContext, sources: Collection[str]) -> None:
    """Empty these tables and copy them from a snapshot made now. Their changes since stand in the log: the tail follows.

    The caller has stopped the tail: a chunk of the copy must never come after a newer change.
    """
    tables = tuple(t for t in await run_tables(ctx) if t.source in sources)
    if not tables:
        return
    frozen = await new_snapshot(ctx, sources)
    try:
        await _empty(ctx, tables)
        failpoint("recopy_emptied")
        copied = await copy_from(ctx, frozen, tables)
        if copied["stopped"]:
            raise StepFailed(
                "Tables that had to be copied again could not be.",
                detail="; ".join(f"{table}: {why}" for table, why in copied["stopped"].items()),
                code="not_copied_again",
            )
        job = replace(ctx.memory.get(TailJob), tables=tables)
        await keep_classes(job, frozen.path, (await plan_of(ctx)).facts)
    finally:
        await drop_snapshot(ctx)


async def _empty(ctx: RunContext, tables: tuple[TablePlan, ...]) -> None:
    """One transaction: the rows, and what was known about them."""
    async with connection(ctx) as conn:
        with pg_errors("empty the tables that are copied again"):
            async with conn.transaction():
                await conn.execute(f"set local stepflow.origin = {pg_literal(WRITER).strip()}")
                await conn.execute(f"truncate {', '.join(pg_name(t.schema, t.name) for t in tables)}")
                for table in tables:
                    await ledger.drop_table(conn, ctx.run_id, table.source)
                    await conn.execute(
                        "delete from _stepflow.poison where run = $1 and tb = $2", ctx.run_id, table.source
                    )
                    await conn.execute("delete from _stepflow.class where tb = $1", table.source)

"""Repairs what a verification found different, round by round, and keeps every row as it was before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

from stepflow_tui.engine.model.discrepancy import Discrepancy, TableVerdict
from stepflow_tui.engine.model.finding import warning
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.steps.context import RepairWanted, RunContext
from stepflow_tui.engine.steps.facts import connection
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.levels import verify_tables
from stepflow_tui.engine.verify.repair import apply_repair, plan_repair

ROUNDS = 50
"""A verification names a bounded number of rows per table; each round repairs those."""

IMAGES = "select n, tb, k, sql, image, at::text as at from _stepflow.before_image where run = $1 order by n"


async def repair(
    ctx: RunContext,
    job: VerifyJob,
    tables: Sequence[TablePlan],
    verdicts: tuple[TableVerdict, ...],
    objects: Callable[[], Awaitable[tuple[Discrepancy, ...]]],
) -> tuple[TableVerdict, ...]:
    """Repair and verify again until nothing repairable is left. Returns the last verdicts.

    Args:
        objects: looks for what the catalog lacks of the plan (indexes and constraints can be made again).

    Raises:
        Drift: a row changed since it was seen; that round changed nothing.
    """
    wanted = ctx.memory.get(RepairWanted)
    total = 0
    for _ in range(ROUNDS):
        actions = plan_repair([*(d for v in verdicts for d in v.discrepancies), *(await objects())], tables)
        if not actions:
            break
        await ctx.journal.audit(wanted.who, "repair", {"statements": len(actions)})
        total += await apply_repair(actions, tables, ctx.target, run=ctx.run_id, mask=job.mask)
        verdicts = await verify_tables(job, control=ctx.control, report=ctx.report)
    if total:
        # a repair means that the copy was wrong or that somebody wrote into the target: never a detail
        await ctx.journal.set_findings("repair", [warning("rows_repaired", None, count=total, by=wanted.who)])
        await _keep_images(ctx)
    return verdicts


async def _keep_images(ctx: RunContext) -> None:
    """The control schema goes with the end of the run; the images stay in the run's folder, for nobody else to read.

    They hold true values of sensitive columns too: without them a repair could not be undone.
    """
    async with connection(ctx) as conn:
        with pg_errors("read the before-images"):
            rows = [dict(r) for r in await conn.fetch(IMAGES, ctx.run_id)]
    path = ctx.run_dir / "before-images.ndjson"
    path.touch(mode=0o600)
    text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)

    def append() -> None:
        with path.open("a", encoding="utf-8") as out:
            out.write(text)

    await asyncio.to_thread(append)

"""The digest of a target table from the target alone, over the very bytes a verification compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepflow_tui.engine.bulk.compare import digest_range
from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.discrepancy import RangeDigest
from stepflow_tui.engine.model.plan import ColumnFacts, TableFacts, TablePlan
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.verify import content, raw
from stepflow_tui.engine.verify.arrow_forms import pairs
from stepflow_tui.engine.verify.by_value import compare_job
from stepflow_tui.engine.verify.cut import Range
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import Key, columns_of, from_json, key_of
from stepflow_tui.engine.verify.ordered import PREFIX as ORDERED
from stepflow_tui.engine.verify.ordered import ordered_by
from stepflow_tui.engine.verify.sides import open_target
from stepflow_tui.engine.verify.tally import table_digest_of


async def table_digest(
    target: Target, table: TablePlan, ranges: Sequence[RangeDigest], *, pool: WorkerPool | None = None
) -> str:
    """The present digest of a table; equal to its verdict's `digest_target` if nothing was changed since.

    Args:
        target: the database.
        table: the plan it was verified with.
        ranges: the verdict's ranges.
        pool: worker processes for ranges compared as Arrow; None starts one when it is needed (from the main thread).

    Raises:
        StepFailed, TargetConnectionError: the table can't be read (any more).
    """
    by_arrow = any(not r.sha256.startswith((raw.PREFIX, content.PREFIX)) for r in ranges)
    if by_arrow and pool is None:
        async with WorkerPool(1) as own:
            return await _digest(target, table, ranges, own)
    return await _digest(target, table, ranges, pool)


async def _digest(target: Target, table: TablePlan, ranges: Sequence[RangeDigest], pool: WorkerPool | None) -> str:
    # the target's side of a comparison depends on the plan alone, not on what the census counted
    facts = TableFacts(rows=0, columns={c.source: ColumnFacts() for c in table.columns})
    job = VerifyJob(
        level=Level.DETAILED,
        source=Path("/"),
        frozen=True,
        target=target,
        tables=(table,),
        facts={table.source: facts},
    )
    found = []
    with pg_errors(f"compute the digest of {table.target}", target):
        connection = await open_target(job)
        try:
            for span in sorted(ranges, key=lambda r: r.n):
                found.append(await _range(connection, job, table, span, pool))
        finally:
            await connection.close(timeout=5)
    return table_digest_of(found)


async def _range(connection: Any, job: VerifyJob, table: TablePlan, span: RangeDigest, pool: WorkerPool | None) -> str:
    if span.sha256.startswith(content.PREFIX):
        return content.sums_digest(await content.target_sums(connection, table, columns_of(table, None)))
    prefix, _, _ = span.sha256.rpartition(":")
    order = ordered_by(table, int(prefix.removeprefix(ORDERED))) if prefix.startswith(ORDERED) else key_of(job, table)
    bounds = Range(span.n, from_json(span.lo), from_json(span.hi))
    if order is None:
        raise StepFailed(
            f"The digest of {table.target} can't be computed: its plan has no such order.",
            hint="Use the plan the table was verified with.",
            code="digest_order",
        )
    if isinstance(order, Key) and span.sha256.startswith(raw.PREFIX):
        return (await raw.target_digest(connection, table, order, columns_of(table, order), bounds))[1]
    columns = columns_of(table, order) if isinstance(order, Key) else order.columns
    found = pairs(job, table, columns)
    assert found is not None  # the verification compared this very range as Arrow
    assert pool is not None
    _, sha = await pool.run(digest_range, compare_job(job, table, found, order, bounds))
    return f"{prefix}:{sha}" if prefix else sha

"""The digest of a target table from the target alone, over the very bytes a verification compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stepflow_tui.engine.bulk.compare import digest_range
from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.discrepancy import RangeDigest
from stepflow_tui.engine.model.plan import ColumnFacts, CompareKind, TableFacts, TablePlan
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.verify import content, raw
from stepflow_tui.engine.verify.arrow_forms import pairs
from stepflow_tui.engine.verify.by_value import compare_job
from stepflow_tui.engine.verify.cut import Range
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import AllColumns, Key, Order, from_json, key_of
from stepflow_tui.engine.verify.ordered import order_of
from stepflow_tui.engine.verify.sides import open_target
from stepflow_tui.engine.verify.table import completed
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

"""Copies all open segments of the ledger with the worker processes, largest table first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stepflow_tui.engine.bulk.job import CopyJob
from stepflow_tui.engine.bulk.lanes import Lanes
from stepflow_tui.engine.bulk.link import Link
from stepflow_tui.engine.bulk.meter import Meter
from stepflow_tui.engine.bulk.outcome import REPLACED, CopyResult, TableResult
from stepflow_tui.engine.bulk.pool import WorkerPool, default_streams
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.control import Control, Report
from stepflow_tui.engine.model.plan import TableFacts, TablePlan
from stepflow_tui.engine.postgres import ledger
from stepflow_tui.engine.postgres.control import flush_commits

if TYPE_CHECKING:
    import asyncpg

__all__ = ["CopyJob", "CopyResult", "TableResult", "copy_tables"]


async def copy_tables(
    job: CopyJob, *, control: Control, report: Report, clock: Clock, pool: WorkerPool | None = None
) -> CopyResult:
    """Copy every open segment of the job's tables.

    Stop lets the running chunks end; abort kills them, and the target rolls them back. A table that can't be copied
    does not stop the others: its result carries the error.

    Args:
        job: what to copy.
        control: pause, stop and abort, looked at between chunks and every 0.1 s.
        report: takes the progress.
        clock: time.
        pool: running workers; None starts and ends own ones.

    Returns:
        What stands in the ledger at the end; all of it is flushed to the target's disk.

    Raises:
        Stopping: by `control`.
        TargetConnectionError: the target stayed lost after all retries.
        DiskFull, Held, StepFailed: by cause.
    """
    if pool is not None:
        return await _copy(job, control, report, clock, pool)
    async with WorkerPool(job.streams or default_streams()) as own:
        return await _copy(job, control, report, clock, own)


async def _copy(job: CopyJob, control: Control, report: Report, clock: Clock, pool: WorkerPool) -> CopyResult:
    async with Link(job.target) as link:
        async with link.use("read the ledger") as connection:
            counts = await ledger.counts(connection, job.run)
            waiting = await ledger.open_segments(connection, job.run)
        _demand_segments(job.tables, counts)
        meter = Meter(job.step, {t.source: job.table_facts(t).rows for t in job.tables}, report, clock)
        lanes = Lanes(job, control=control, clock=clock, pool=pool, link=link, meter=meter)
        while True:
            meter.restart({table: count.rows + count.rejected for table, count in counts.items()})
            await lanes.run(_largest_first(job, waiting))
            async with link.use("flush the copied rows") as connection:
                await flush_commits(connection)
                counts = await ledger.counts(connection, job.run)
                waiting = await ledger.open_segments(connection, job.run)
                # a server that crashed meanwhile has lost what was not flushed: those segments are open again
                waiting = [s for s in waiting if s.table not in lanes.errors and s.table in lanes.tables]
                if not waiting:
                    return await _result(connection, job, lanes, counts)


def _demand_segments(tables: Iterable[TablePlan], counts: dict[str, ledger.TableCount]) -> None:
    missing = [t.source for t in tables if t.source not in counts]
    if missing:
        raise StepFailed(
            "Tables have no segments in the ledger of the target.",
            detail=", ".join(missing),
            hint="The table was made by other means than this run: `stepflow rollback`, then run again.",
            code="no_segments",
        )


def _largest_first(job: CopyJob, waiting: list[ledger.Segment]) -> list[ledger.Segment]:
    """In reverse, because segments are taken from the end: tables by their bytes, segments in order."""
    weight = {t.source: _bytes(job.table_facts(t)) for t in job.tables}
    mine = [segment for segment in waiting if segment.table in weight]
    return sorted(mine, key=lambda s: (weight[s.table], s.table, -s.n))


def _bytes(facts: TableFacts) -> float:
    return facts.rows * sum(max(8.0, c.mean_bytes) for c in facts.columns.values())


async def _result(
    connection: asyncpg.Connection, job: CopyJob, lanes: Lanes, counts: dict[str, ledger.TableCount]
) -> CopyResult:
    """What the ledger and the rejects say at the end."""
    rows = await connection.fetch(
        "select tb, count(*) from _stepflow.reject where run = $1 and starts_with(reason, $2) group by tb",
        job.run,
        REPLACED,
    )
    replaced = {row[0]: row[1] for row in rows}
    return CopyResult(
        tables={
            table.source: TableResult(
                table=table.source,
                rows=counts[table.source].rows,
                rejected=counts[table.source].rejected,
                replaced=replaced.get(table.source, 0),
                seconds=lanes.seconds.get(table.source, 0.0),
                error=lanes.errors.get(table.source),
                fallbacks=tuple(dict.fromkeys(lanes.fallbacks.get(table.source, []))),
            )
            for table in job.tables
        }
    )

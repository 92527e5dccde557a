"""`verify_tables`: all tables side by side, one verdict each."""

from __future__ import annotations

from contextlib import AsyncExitStack

from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.control import Control, FreeRunning, Report, silent
from stepflow_tui.engine.model.discrepancy import TableVerdict
from stepflow_tui.engine.together import together
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.sides import KeptSides
from stepflow_tui.engine.verify.table import TableCheck

__all__ = ["VerifyJob", "verify_tables"]


async def verify_tables(
    job: VerifyJob,
    *,
    control: Control | None = None,
    report: Report = silent,
    pool: WorkerPool | None = None,
) -> tuple[TableVerdict, ...]:
    """Compare the job's tables. Changes nothing on either side.

    Memory is bounded by ranges of a few MiB, not by tables.

    Args:
        job: what to compare and how far.
        control: looked at between ranges.
        report: takes progress per table, in rows.
        pool: worker processes; None starts `job.streams` of its own where they are needed (from the main thread).

    Returns:
        One verdict per table, in the job's order.

    Raises:
        Stopping: by `control`.
        TargetConnectionError, StepFailed: a side can't be read; "could not compare" is never a verdict.
    """
    steering = control or FreeRunning()
    verdicts: dict[int, TableVerdict] = {}
    # the largest first, so that none of them is left alone at the end
    waiting = sorted(range(len(job.tables)), key=lambda n: job.table_facts(job.tables[n]).rows)
    async with AsyncExitStack() as stack:
        if not _by_arrow(job):
            pool = None
        elif pool is None:
            pool = await stack.enter_async_context(WorkerPool(job.streams))

        async def lane() -> None:
            async with KeptSides(job) as sides:
                while waiting:
                    n = waiting.pop()
                    verdicts[n] = await TableCheck(job, job.tables[n], steering, report, pool).verify(sides)

        await together(lane() for _ in range(max(1, min(job.streams, len(job.tables)))))
    return tuple(verdicts[n] for n in range(len(job.tables)))


def _by_arrow(job: VerifyJob) -> bool:
    """Whether values are compared as Arrow at all: a living file is never opened by a second SQLite library."""
    return job.frozen and not job.slow_link and job.level is not Level.BASIC

"""Streams of segments through the worker processes: retries, pause and abort, and what became of each segment.

The ledger in the target is the truth: a segment whose outcome is unknown (a killed worker, a lost connection) is looked
up there, and its own update refuses to happen twice.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from stepflow_tui.engine.bulk.failures import is_retryable
from stepflow_tui.engine.bulk.job import CopyJob
from stepflow_tui.engine.bulk.link import Link
from stepflow_tui.engine.bulk.meter import Meter
from stepflow_tui.engine.bulk.outcome import SegmentResult, TableStopped, WorkOrder, application_name
from stepflow_tui.engine.bulk.pool import WorkerLost, WorkerPool
from stepflow_tui.engine.bulk.segment_job import copy_segment
from stepflow_tui.engine.bulk.throttle import LoadThrottle, RateLimit
from stepflow_tui.engine.errors import (
    DiskFull,
    Held,
    OutcomeUnknown,
    StepFailed,
    StepFlowError,
    Stopping,
    TargetConnectionError,
)
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.postgres import ledger

_REFUSED_SHARE = 0.01
_REFUSED_AT_LEAST = 20
"""Up to so many refused rows are chance even in a small table."""

_WATCH_SECONDS = 0.1
_TRIES = 3
"""A segment that kills its worker, loses its connection or a conflict so often is the cause itself."""


class Lanes:
    """The segments of one `copy_tables`, and what became of them."""

    def __init__(
        self,
        job: CopyJob,
        *,
        control: Control,
        clock: Clock,
        pool: WorkerPool,
        link: Link,
        meter: Meter,
    ) -> None:
        self._job = job
        self._control = control
        self._clock = clock
        self._pool = pool
        self._link = link
        self._meter = meter
        self._waiting: list[ledger.Segment] = []
        self._specs = {t.source: job.spec(t) for t in job.tables}
        self.errors: dict[str, StepFlowError] = {}
        self._refused: dict[str, int] = dict.fromkeys(self._specs, 0)
        self._tries: dict[int, int] = {}
        self.fallbacks: dict[str, list[str]] = {}
        self.seconds: dict[str, float] = {}
        self._fatal: BaseException | None = None
        self._cut = False  # running chunks were not waited for
        self._rate = RateLimit(job.max_rows_per_second, clock)
        self._load = LoadThrottle(job.load, clock) if job.load else None

    @property
    def tables(self) -> frozenset[str]:
        """The tables this copy is about."""
        return frozenset(self._specs)

    async def run(self, waiting: list[ledger.Segment]) -> None:
        """Work until no segment waits, or something ends it. They are taken from the list's end."""
        self._waiting = waiting
        self._pool.proceed()
        self._meter.show()
        lanes = [asyncio.create_task(self._lane()) for _ in range(self._pool.streams)]
        watcher = asyncio.create_task(self._watch(lanes))
        try:
            await asyncio.wait(lanes)
        except asyncio.CancelledError:
            self._cut = True
            raise
        finally:
            for task in (watcher, *lanes):
                task.cancel()
            ends = await asyncio.gather(watcher, *lanes, return_exceptions=True)
            self._pool.proceed()
            if self._cut:
                await self._cancel_statements()
        if self._fatal is not None:
            raise self._fatal
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _lane(self) -> None:
        """One stream: a segment at a time."""
        try:
            while self._fatal is None:
                await self._control.checkpoint()
                await self._wait_for_calm()
                if not self._waiting:
                    return
                segment = self._waiting.pop()
                if segment.table not in self.errors:
                    await self._one(segment)
        except (StepFlowError, Stopping) as error:
            self._fatal = self._fatal or error

    async def _watch(self, lanes: list[asyncio.Task[None]]) -> None:
        """Pause reaches the workers at once; abort does not wait for them."""
        while True:
            if self._control.halted:
                self._pool.halt()
            try:
                await self._control.checkpoint()
            except (Stopping, StepFlowError) as ending:
                self._fatal = self._fatal or ending
                if isinstance(ending, Stopping) and not ending.abort:
                    return
                self._cut = True
                for lane in lanes:
                    lane.cancel()
                return
            self._pool.proceed()
            await self._clock.sleep(_WATCH_SECONDS)

    async def _cancel_statements(self) -> None:
        """A killed worker's statement ends with its connection, unless it waits for a lock: so it is cancelled too."""
        with suppress(StepFlowError):
            # a cancelled lane may have left the common connection in the middle of a query
            async with Link(self._job.target) as link, link.use("cancel statements") as connection:
                await connection.execute(
                    "select pg_cancel_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and application_name = $1",
                    application_name(self._job.run),
                )

    async def _wait_for_calm(self) -> None:
        await self._rate.wait(self._pause)
        if self._load is not None:
            await self._load.wait(self._link, self._pause)

    async def _pause(self, reason: str) -> None:
        self._meter.throttled(reason)
        await self._control.checkpoint()

    async def _one(self, segment: ledger.Segment) -> None:
        """Copy a segment; whatever happens, it ends done, back in the queue, or as its table's error."""
        self._meter.begin(segment.table)
        try:
            result = await self._attempt(segment)
        except (TargetConnectionError, DiskFull, Held, OutcomeUnknown):
            raise
        except StepFlowError as error:
            self.errors[segment.table] = error
            return
        if result is None or result.halted:
            self._waiting.append(segment)
            return
        self._account(segment, result)

    async def _attempt(self, segment: ledger.Segment) -> SegmentResult | None:
        """The result, or None when the segment has to be tried again."""
        try:
            return await self._pool.run(copy_segment, self._order(segment))
        except WorkerLost:
            self._count_try(segment)
            return await self._look(segment)
        except Held:
            # the commit of a lost connection may have landed after all: then the segment is done, by this very engine
            found = await self._look(segment)
            if found is None:
                raise
            return found
        except TargetConnectionError as error:
            if not is_retryable(error):
                raise
            self._count_try(segment)
            return await self._after_outage(segment, error)
        except StepFailed as error:
            if error.code != "conflict":
                raise
            self._count_try(segment)
            return None

    def _count_try(self, segment: ledger.Segment) -> None:
        """Called while handling what went wrong: raises it again when it went wrong too often."""
        self._tries[segment.n] = self._tries.get(segment.n, 0) + 1
        if self._tries[segment.n] >= _TRIES:
            raise  # noqa: PLE0704 - the exception being handled

    async def _after_outage(self, segment: ledger.Segment, error: StepFlowError) -> SegmentResult | None:
        """Wait for the target to come back, then see in the ledger what became of the segment."""
        for seconds in self._job.retry_seconds:
            until = self._clock.monotonic() + seconds
            while (left := until - self._clock.monotonic()) > 0:
                await self._clock.sleep(min(left, _WATCH_SECONDS))
                await self._control.checkpoint()
            try:
                return await self._look(segment)
            except TargetConnectionError as again:
                if not is_retryable(again):
                    raise
                error = again
        raise error

    async def _look(self, segment: ledger.Segment) -> SegmentResult | None:
        """What the ledger says: done in this epoch, or None while it is open.

        Raises:
            Held: another engine has taken over.
        """
        async with self._link.use("look up a segment") as connection:
            row = await connection.fetchrow(
                "select state, epoch, rows, rejected from _stepflow.ledger where run = $1 and segment = $2",
                self._job.run,
                segment.n,
            )
        if row is None or row["epoch"] != self._job.epoch:
            raise ledger.superseded(segment.n, self._job.epoch)
        return SegmentResult(rows=row["rows"], rejected=row["rejected"]) if row["state"] == "done" else None

    def _order(self, segment: ledger.Segment) -> WorkOrder:
        job, spec = self._job, self._specs[segment.table]
        return WorkOrder(
            run=job.run, epoch=job.epoch, frozen=job.frozen, target=job.target, spec=spec, segment=segment,
            refusal_limit=self._refusal_limit(segment.table),
        )  # fmt: skip

    def _account(self, segment: ledger.Segment, result: SegmentResult) -> None:
        table = segment.table
        self._rate.spend(result.rows + result.rejected)
        self._meter.add(table, result.rows + result.rejected)
        self.seconds[table] = self._meter.seconds(table)
        if result.fallback:
            self.fallbacks.setdefault(table, []).append(result.fallback)
        self._refused[table] += result.refused
        if self._refused[table] > self._refusal_limit(table):
            self.errors.setdefault(
                table,
                TableStopped(
                    f"The target refuses too many rows of {table}: the type of a column is wrong.",
                    detail=f"{self._refused[table]} rows were refused; the rejects name columns and reasons",
                ),
            )

    def _refusal_limit(self, table: str) -> int:
        """So many rows the server may refuse before the plan's type is called wrong."""
        return max(_REFUSED_AT_LEAST, int(self._specs[table].rows * _REFUSED_SHARE))

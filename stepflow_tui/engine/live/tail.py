"""The tail: applies captured changes to the target, step by step, each exactly once.

A step reads which keys may have changed and what their rows are now in one read transaction of the source, and writes rows
and watermark in one transaction of the target. After a step that took the whole backlog the target equals that snapshot.
The watermark in the target is the only truth: after a lost answer it is read again, never guessed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepflow_tui.engine.bulk.failures import is_retryable
from stepflow_tui.engine.bulk.throttle import RateLimit
from stepflow_tui.engine.bulk.values import Value
from stepflow_tui.engine.errors import Held, Refused, StepFailed, StepFlowError
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.live.lag import LagMeter, RateMeter
from stepflow_tui.engine.live.points import CommonPoint
from stepflow_tui.engine.live.tail_apply import Applied, Applier
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.live.tail_source import SourceSide
from stepflow_tui.engine.live.tail_target import TargetSide, ValueMoved
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.model.live import Lag, Tick
from stepflow_tui.engine.postgres import progress
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import sqlite3

    import asyncpg

IDLE_SECONDS = 1.0
"""After so long a step is made even where nothing seems to have happened: it looks at its guards."""

_PAUSE_SECONDS = (0.05, 0.2)
"""Between two steps while nothing is behind: twice as long as the step took, within these bounds."""

_JOURNAL_CHANGES = 2_000
"""Log entries of one step where writers wait for our read transaction: a source in rollback-journal mode."""

_MARKS_PER_RETENTION = 64
"""How finely the log's retention is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TailStats:
    """What the tail of this engine has done so far. `poison`: rows in quarantine after the newest step that looked."""

    applied: int = 0
    log_max: int = 0
    steps: int = 0
    changes: int = 0
    rows: int = 0
    poison: int = 0
    rows_per_second: float = 0.0


class Tail:
    """Applies one source's changes. Calls may come from several tasks: steps are made one at a time.

    Args:
        job: what and where.
        control: pause, stop and abort, looked at between steps.
        clock: time.
    """

    def __init__(self, job: TailJob, *, control: Control, clock: Clock) -> None:
        self._job = job
        self._control = control
        self._clock = clock
        self._source = SourceSide(job)
        self._target = TargetSide(job)
        self._applier = Applier(job, self._source, self._target)
        self._turn = asyncio.Lock()
        self._rate = RateLimit(job.max_rows_per_second, clock)
        self._lag = LagMeter(clock)
        self._speed = RateMeter(clock)
        self._stats = TailStats()
        self._sent: Tick | None = None
        self._fenced = False
        self._marked: float | None = None

    @property
    def stats(self) -> TailStats:
        """Counters, for the gauge."""
        return replace(self._stats, rows_per_second=self._speed.per_second)

    @property
    def lag(self) -> Lag:
        """How far behind, as the newest look at the source tells."""
        return self._lag.lag

    async def step(self) -> Tick:
        """One step: the whole backlog, or a part of it while it is large.

        Raises:
            Held: a newer engine has taken over.
            Drift: capture is not as it was installed, or changes are missing in the log.
            StepFlowError: by cause, after bounded attempts.
        """
        async with self._turn:
            return await self._persist(everything=False)

    async def run(self) -> None:
        """Keep the target current until cancelled.

        Raises:
            Stopping: the engine ends.
            StepFlowError: as `step`.
        """
        while True:
            await self._control.checkpoint()
            began = self._clock.monotonic()
            tick = await self.step()
            await self._rate.wait(self._look)
            if tick.whole:
                await self._idle(self._clock.monotonic() - began)

    async def reach(self, n: int) -> Tick:
        """Steps until log entry `n` is applied.

        Raises:
            StepFlowError: as `step`.
        """
        while True:
            tick = await self.step()
            if tick.applied >= n:
                return tick
            await self._control.checkpoint()

    async def drain(self) -> Tick:
        """Steps until everything is applied that was written before the fence, behind which the log can't move.

        Raises:
            Refused: writes are not fenced.
            StepFlowError: as `step`.
        """
        while True:
            async with self._turn:
                tick = await self._persist(everything=False)
                if tick.whole and self._fenced:
                    return tick
            if not self._fenced:
                raise Refused(
                    "The source still takes writes: there is no last change to drain to.",
                    hint="Fence the source first.",
                    code="not_fenced",
                )

    @asynccontextmanager
    async def point(self) -> AsyncIterator[CommonPoint]:
        """A whole step, then both snapshots; the tail goes on as soon as they stand.

        Raises:
            StepFlowError: as `step`.
        """
        with pg_errors("open a snapshot of the target", self._job.target):
            target = await self._job.target.connect()
        source: sqlite3.Connection | None = None
        try:
            async with self._turn:
                tick = await self._persist(everything=True, hold=True)
                try:
                    await self._snapshot(target, tick)
                    source = await self._source.hand_over()
                except BaseException:
                    await self._source.abandon()
                    raise
            yield CommonPoint(n=tick.applied, source=source, target=target)
        finally:
            target.terminate()
            if source is not None:
                await asyncio.to_thread(source.close)

    async def touched_since(self, n: int) -> Mapping[str, list[tuple[Value | None, ...]]]:
        """Keys that may have changed after log entry `n`, by source table, as the source stores them.

        Raises:
            Drift: entries after `n` are gone.
        """
        return await self._source.touched_since(n)

    async def close(self) -> None:
        """Give both connections back, for good."""
        await self._target.close()
        await self._source.close()

    async def _look(self, _: str) -> None:
        await self._control.checkpoint()

    async def _idle(self, took: float) -> None:
        """Wait until somebody writes, or it is time to look at the guards."""
        least, most = _PAUSE_SECONDS
        pause = min(most, max(least, 2 * took))
        until = self._clock.monotonic() + IDLE_SECONDS
        while True:
            await self._clock.sleep(pause)
            if self._clock.monotonic() >= until:
                return
            try:
                if await self._source.changed():
                    return
            except (Held, StepFailed):  # the step says what is wrong
                return

    async def _persist(self, *, everything: bool, hold: bool = False) -> Tick:
        """A step, in as many attempts as it takes within bounds."""
        pauses = iter(self._job.retry_seconds)
        while True:
            try:
                return await self._attempt(everything=everything, hold=hold)
            except ValueMoved:
                await self._undo()
                everything = True
            except StepFlowError as error:
                await self._undo(lost=not _is_conflict(error))
                pause = next(pauses, None)
                if pause is None or not _may_pass(error):
                    raise
                await self._rest(pause)
            except BaseException:
                await self._undo(lost=True)
                raise

    async def _rest(self, seconds: float) -> None:
        """A pause of half to one and a half times that length, so that two that collided don't do so again."""
        until = self._clock.monotonic() + seconds * (0.5 + secrets.randbelow(1_000) / 1_000)
        while (left := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, 0.2))
            await self._control.checkpoint()

    async def _undo(self, *, lost: bool = False) -> None:
        """Nothing of a failed attempt stays open. Which of its effects happened, the watermark tells."""
        if lost:
            self._target.drop()
        else:
            await self._target.undo()
        self._applier.forget()
        await asyncio.shield(self._source.abandon())

    async def _attempt(self, *, everything: bool, hold: bool) -> Tick:
        state = await self._source.begin()
        self._fenced = state.fenced
        if self._stats.steps:  # before the first watermark is known, all of the log would look like lag
            self._lag.saw(state.log_max)
        failpoint("tail_source_open")
        w = await self._target.begin()
        self._lag.applied(w)
        self._lag.saw(state.log_max)
        carried = self._settle(w)
        capped = self._job.capped if state.wal else min(self._job.capped, _JOURNAL_CHANGES)
        limit = None if everything or state.log_max - w <= capped else capped
        span = await self._source.span(w, limit)
        whole = span.high == state.log_max
        done = await self._applier.apply(span, whole=whole) if span.changes else Applied()
        tick = Tick(
            applied=span.high,
            log_max=state.log_max,
            changes=span.changes,
            rows=done.rows,
            whole=whole,
            poisoned=done.poisoned,
        )
        await self._advance(w, tick)
        if not hold:
            await self._source.end()  # everything is read: the source need not wait for the target's disk
        await self._commit(tick)
        self._count(tick)
        if done.quarantined is not None:
            self._stats = replace(self._stats, poison=done.quarantined)
        return tick if carried is None else _sum(carried, tick)

    def _settle(self, w: int) -> Tick | None:
        """What became of a step whose COMMIT was sent and not answered."""
        sent, self._sent = self._sent, None
        if sent is None or sent.applied != w or not sent.changes:
            return None
        self._count(sent)
        return sent

    async def _advance(self, w: int, tick: Tick) -> None:
        target = self._target
        if tick.changes:
            with pg_errors("move the watermark", self._job.target):
                await target.ask(
                    progress.advance(
                        target.connection, self._job.run, self._job.epoch, old=w, new=tick.applied, changes=tick.changes
                    )
                )
                await self._mark(tick.applied)
        failpoint("tail_advanced")

    async def _commit(self, tick: Tick) -> None:
        self._sent = tick
        await self._target.commit()
        self._sent = None
        failpoint("tail_committed")

    async def _mark(self, w: int) -> None:
        now = self._clock.monotonic()
        if self._marked is None or now - self._marked >= self._job.keep_seconds / _MARKS_PER_RETENTION:
            await self._target.ask(progress.add_mark(self._target.connection, self._job.run, w))
            self._marked = now

    async def _snapshot(self, target: asyncpg.Connection, tick: Tick) -> None:
        """Take the target's snapshot, and see that it is the one after this step."""
        with pg_errors("open a snapshot of the target", self._job.target):
            # by the driver, which knows then that savepoints may be set in it
            await target.transaction(isolation="repeatable_read", readonly=True).start()
            seen = await progress.read(target, self._job.run)
        if seen is None or (seen.epoch, seen.w) != (self._job.epoch, tick.applied):
            raise progress.superseded(self._job.epoch)

    def _count(self, tick: Tick) -> None:
        self._lag.applied(tick.applied)
        self._speed.add(tick.rows)
        self._rate.spend(tick.rows)
        s = self._stats
        self._stats = replace(
            s, applied=tick.applied, log_max=tick.log_max, steps=s.steps + 1, changes=s.changes + tick.changes,
            rows=s.rows + tick.rows,
        )  # fmt: skip


def _sum(first: Tick, then: Tick) -> Tick:
    return replace(
        then, changes=first.changes + then.changes, rows=first.rows + then.rows, poisoned=first.poisoned + then.poisoned
    )


_CONFLICTS = frozenset({"conflict", "lock_held"})


def _is_conflict(error: StepFlowError) -> bool:
    """The server ended the transaction, and the connection is as good as before."""
    return error.code in _CONFLICTS


def _may_pass(error: StepFlowError) -> bool:
    """Whether another attempt may go better."""
    return is_retryable(error) or _is_conflict(error) or error.code == "source_busy"

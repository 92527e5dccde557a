"""The way back: brings what the application writes in PostgreSQL to SQLite, so that a rollback loses nothing.

A step takes the keys that changed between two snapshots of PostgreSQL (`postgres.changelog`), reads their present rows in
the newer one, and writes them and that snapshot in one SQLite transaction. After it SQLite equals the snapshot, but for
rows that SQLite can't hold: those are listed, tried again with every step, and leave the list when they fit.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from stepflow_tui.engine.bulk.failures import is_retryable
from stepflow_tui.engine.errors import Refused, StepFlowError
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.live.reverse_file import LiteSide
from stepflow_tui.engine.live.reverse_job import ReverseJob, ReverseTick
from stepflow_tui.engine.live.reverse_table import TableBack
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.model.live import Lag
from stepflow_tui.engine.model.sensitive import hidden_names
from stepflow_tui.engine.postgres import changelog, reverse_rows, touched
from stepflow_tui.engine.postgres.changelog import Changes
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.reverse_rows import Blocker, Key

if TYPE_CHECKING:
    import asyncpg

__all__ = ["Reverse", "ReverseJob", "ReverseTick"]

GUARD_SECONDS = 1.0
"""For how long steps that find nothing do without looking at triggers and tables."""

_LOCAL_RETRIES = frozenset({"source_busy", "lock_held"})


class Reverse:
    """Keeps the fenced file current. Calls may come from several tasks: steps are made one at a time.

    Args:
        job: what and where.
        control: pause, stop and abort, looked at between the steps of `run`.
        clock: time.
    """

    def __init__(self, job: ReverseJob, *, control: Control, clock: Clock) -> None:
        self._job = job
        self._control = control
        self._clock = clock
        self._file = LiteSide(job)
        self._tables = {t.source: TableBack(t, job) for t in job.tables}
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        self._looked: float | None = None  # when the guards were looked at last
        self._current_since = self._clock.monotonic()
        self._blocked = 0  # rows on the list after the newest step

    async def seed(self, snapshot: str) -> None:
        """Begin at the snapshot that `changelog.install_changelog` returned. A position noted before stays.

        Raises:
            Held: the source's write lock was not free in time.
        """
        await self._file.seed(snapshot)

    async def refresh(self, tables: Sequence[str] | None = None) -> ReverseTick:
        """A step that brings tables over as a whole. All of them (None) also helps where the log has a gap.

        Raises:
            StepFlowError: as `step`.
        """
        return await self._guarded(frozenset(self._tables if tables is None else tables))

    async def mend(self) -> ReverseTick:
        """Log anew and bring every table over as a whole: after `changelog_trigger` or `reverse_gap`.

        Raises:
            Drift: `target_schema_changed`, which this can't mend; otherwise as `step`.
        """
        async with self._turn, self._errors():
            conn = await self._connected()
            await changelog.check_shapes(conn, self._job.tables)
            await changelog.install_changelog(conn, self._job.tables, wait=self._job.wait_seconds, again=True)
        return await self.refresh()

    async def step(self) -> ReverseTick:
        """Bring over everything committed since the step before.

        Raises:
            Refused: `not_seeded`, `not_fenced`. Drift: either side is not as it was when the way back was prepared.
            Held: the source is locked, or another engine is at work. TargetConnectionError: the target is away.
        """
        return await self._guarded(frozenset())

    async def run(self) -> None:
        """Step until cancelled; waits and goes on where a side can't be reached for a while.

        Raises:
            Stopping: the engine ends.
            StepFlowError: what waiting does not help against, or retries are used up.
        """
        try:
            await self._follow()
        finally:
            self._file.rest()  # a connection left open would keep others from changing the journal mode

    async def _follow(self) -> None:
        failures = 0
        while True:
            await self._control.checkpoint()
            try:
                tick = await self.step()
            except StepFlowError as error:
                if failures == len(self._job.retry_seconds) or not _passes(error):
                    raise
                await self._clock.sleep(self._job.retry_seconds[failures])
                failures += 1
            else:
                failures = 0
                if not tick.changes:
                    await self._clock.sleep(self._job.interval_seconds)

    async def drain(self) -> ReverseTick:
        """Step until nothing is left. Ends only behind a closed gate, where the last step is the state of PostgreSQL.

        Raises:
            StepFlowError: as `step`.
        """
        while True:
            self._looked = -math.inf if self._looked is not None else None  # what ends it has looked at everything
            tick = await self.step()
            if not tick.changes:
                self._file.rest()
                return tick

    async def lag(self, conn: asyncpg.Connection) -> Lag:
        """Log entries not brought over yet, and for how long SQLite has not been current. Waits for no step.

        Args:
            conn: to the target, of the caller's.
        """
        position = await self._file.position()
        changes = await changelog.pending(conn, position.snapshot) if position.snapshot else 0
        if not changes:
            self._current_since = self._clock.monotonic()
        return Lag(changes=changes, seconds=self._clock.monotonic() - self._current_since if changes else 0.0)

    async def blockers(self, conn: asyncpg.Connection) -> list[Blocker]:
        """The rows that would be lost by going back; parts of keys that are sensitive are masked. Waits for no step.

        Args:
            conn: to the target, of the caller's.
        """
        found = await reverse_rows.blockers(conn, self._job.run)
        return [self._tables[b.table].shown(b) if b.table in self._tables else b for b in found]

    async def close(self) -> None:
        """Close both sides; a step under way is taken back."""
        await self._file.close()
        self._drop()

    async def _guarded(self, whole: frozenset[str]) -> ReverseTick:
        async with self._turn, self._errors():
            try:
                return await self._step(whole)
            except BaseException:
                self._file.abandon()
                raise

    async def _step(self, whole: frozenset[str]) -> ReverseTick:
        position = (await self._file.position()).snapshot
        conn = await self._connected()
        if position is not None and not whole and await self._nothing(conn, position):
            return ReverseTick(snapshot=position, changes=0, rows=0, blocked=self._blocked)
        known = [b for b in await reverse_rows.blockers(conn, self._job.run) if b.table in self._tables]
        async with self._snapshot(conn):
            changes = await self._changes(conn, position, whole)
            work = self._work(changes, known)
            if not work and position is not None:
                await self._file.look()
                self._is_current(len(known))
                return ReverseTick(snapshot=position, changes=0, rows=0, blocked=len(known))
            await self._file.begin(position)
            found, rows = await self._apply(conn, work, changes.whole)
        return await self._finish(conn, position, changes, known, found, rows)

    async def _nothing(self, conn: asyncpg.Connection, position: str) -> bool:
        """Whether nothing has happened, asked with one query; the guards are looked at once in a while all the same."""
        if self._looked is None or self._clock.monotonic() - self._looked > GUARD_SECONDS:
            return False
        if await changelog.pending(conn, position):
            return False
        self._current_since = self._clock.monotonic()
        return True

    def _is_current(self, blocked: int) -> None:
        self._looked = self._current_since = self._clock.monotonic()
        self._blocked = blocked

    async def _changes(self, conn: asyncpg.Connection, position: str | None, whole: frozenset[str]) -> Changes:
        if whole == frozenset(self._tables):
            return Changes(snapshot=await changelog.snapshot_now(conn), keys={}, whole=whole)
        if position is None:
            raise Refused(
                "The way back was not prepared: SQLite does not say which state of PostgreSQL it holds.",
                hint="It is prepared by the cutover; run that again.",
                code="not_seeded",
            )
        found = await changelog.changes_between(conn, position)
        return replace(found, whole=(found.whole | whole) & frozenset(self._tables))

    @asynccontextmanager
    async def _snapshot(self, conn: asyncpg.Connection) -> AsyncIterator[None]:
        """One snapshot for log and rows, with the guards looked at in it."""
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            await conn.execute(f"set local lock_timeout = '{int(self._job.wait_seconds * 1000)}ms'")
            await changelog.pin_tables(conn, self._job.tables)
            await changelog.check_changelog(conn, self._job.tables)
            yield

    def _work(self, changes: Changes, known: Sequence[Blocker]) -> dict[str, frozenset[Key]]:
        """The keys to bring over, by table. Blockers are tried again when anything changes, and once by every engine:
        one that was killed may have left rows listed that fit by now."""
        work = {tb: keys for tb, keys in changes.keys.items() if tb in self._tables}
        for tb in changes.whole:
            work.setdefault(tb, frozenset())
        if work or self._looked is None:
            for blocker in known:
                work[blocker.table] = work.get(blocker.table, frozenset()) | {blocker.key}
        return work

    async def _apply(
        self, conn: asyncpg.Connection, work: Mapping[str, frozenset[Key]], whole: frozenset[str]
    ) -> tuple[list[Blocker], int]:
        found: list[Blocker] = []
        rows = 0
        for tb in sorted(work):
            done = await self._tables[tb].bring(conn, self._file, work[tb], whole=tb in whole)
            found += done.blockers
            rows += done.rows
        return found, rows

    async def _finish(
        self,
        conn: asyncpg.Connection,
        position: str | None,
        changes: Changes,
        known: Sequence[Blocker],
        found: Sequence[Blocker],
        rows: int,
    ) -> ReverseTick:
        """New blockers are listed before SQLite commits, solved ones taken off after it: whatever dies in between, a row
        that SQLite lacks is on the list."""
        await reverse_rows.add_blockers(conn, self._job.run, found)
        if changes.whole:
            await touched.mark_whole(conn, changes.whole)
        failpoint("reverse_listed")
        await self._file.commit(position, changes.snapshot)
        still = {(b.table, b.key) for b in found}
        solved = [(b.table, b.key) for b in known if (b.table, b.key) not in still]
        if solved:
            await reverse_rows.drop_blockers(conn, self._job.run, solved)
        await changelog.purge(conn, changes.snapshot)
        failpoint("reverse_purged")
        self._is_current(len(still))
        # a step that only tried blockers again is no change: whoever drains must come to an end
        return ReverseTick(snapshot=changes.snapshot, changes=changes.count, rows=rows, blocked=len(still))

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._job.target.connect()
        return self._connection

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            with pg_errors("bring changes back", self._job.target, hidden_names(self._job.mask, *self._job.tables)):
                yield
        except BaseException:
            self._drop()  # a broken or half-used session is of no use to the next step
            raise

    def _drop(self) -> None:
        conn, self._connection = self._connection, None
        if conn is not None:
            conn.terminate()


def _passes(error: StepFlowError) -> bool:
    """Whether waiting may help."""
    return is_retryable(error) or error.code in _LOCAL_RETRIES

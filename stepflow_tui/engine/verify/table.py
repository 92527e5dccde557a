"""One table's verification: which paths are taken, and what they add up to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stepflow_tui.engine.bulk.compare import UNREADABLE, compare_range
from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.control import Control, Report
from stepflow_tui.engine.model.discrepancy import TableVerdict, Verified
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.model.sensitive import hidden_names
from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.together import together
from stepflow_tui.engine.verify.arrow_forms import Pair, pairs
from stepflow_tui.engine.verify.by_value import compare_job
from stepflow_tui.engine.verify.content import Contents
from stepflow_tui.engine.verify.cut import Range, cut
from stepflow_tui.engine.verify.forms import read
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import Key, columns_of, key_of
from stepflow_tui.engine.verify.naming import Differences
from stepflow_tui.engine.verify.ordered import PREFIX as ORDERED
from stepflow_tui.engine.verify.ordered import order_of, order_ranges
from stepflow_tui.engine.verify.raw import ROWS as RAW_ROWS
from stepflow_tui.engine.verify.raw import Raw
from stepflow_tui.engine.verify.resolve import Resolver
from stepflow_tui.engine.verify.sides import KeptSides, Sides
from stepflow_tui.engine.verify.summary import column_differences, row_counts
from stepflow_tui.engine.verify.tally import Tally

STEP = "verify"

_NOT_AS_PLANNED = ("42P01", "42703", "42846", "42883", "42804", "3F000")
"""No such table, column, schema; no such cast, function, operator for the column's type."""


class TableCheck:
    """Verifies one table.

    Args:
        job: the whole verification.
        table: the table.
        control, report: as in `verify_tables`.
        pool: worker processes, None where values are not compared as Arrow.
    """

    def __init__(
        self, job: VerifyJob, table: TablePlan, control: Control, report: Report, pool: WorkerPool | None
    ) -> None:
        self._job = job
        self._table = table
        self._control = control
        self._report = report
        self._pool = pool
        self._key = key_of(job, self._table)
        self._columns = columns_of(self._table, self._key)
        self._tally = self._new_tally()
        self._arrow_used = False

    async def verify(self, kept: KeptSides) -> TableVerdict:
        """The verdict.

        Args:
            kept: connections to use, and to drop where a read failed.

        Raises:
            Stopping: by the control.
            TargetConnectionError, StepFailed: the target can't be read.
        """
        started = time.monotonic()
        if self._table.impossible is not None:
            return TableVerdict(table=self._table.source, verified=Verified.NOT_VERIFIED, reason=self._table.impossible)
        try:
            hidden = hidden_names(self._job.mask, self._table)
            with pg_errors(f"verify table {self._table.source}", self._job.target, hidden):
                sides = await kept.get()
                verdict = await self._missing_in_target(sides) or await self._compare(sides)
        except Exception as error:
            if type(error).__module__ != "sqlite3":
                raise
            await kept.drop()
            reason = f"the source's table can't be read: {error}"
            return TableVerdict(table=self._table.source, verified=Verified.NOT_VERIFIED, reason=reason)
        return replace(verdict, seconds=round(time.monotonic() - started, 3))

    def _new_tally(self) -> Tally:
        key = self._key.columns if self._key else ()
        names = tuple(c.source for c in key) or self._table.primary_key
        return Tally(self._new_differences(self._columns, names))

    def _new_differences(self, columns: Sequence[ColumnPlan], key: Sequence[str]) -> Differences:
        left_out = self._job.left_out_of(self._table)
        return Differences(self._table, columns, key, self._job.named, self._job.mask, left_out)

    async def _missing_in_target(self, sides: Sides) -> TableVerdict | None:
        """A verdict at once where the target has no such table or its columns aren't as planned."""
        parts = ",".join(read(c).value for c in self._columns) or "null"
        try:
            await sides.target.fetch(f"select {parts} from {pg_name(self._table.schema, self._table.name)} limit 0")
        except Exception as error:
            if getattr(error, "sqlstate", "") not in _NOT_AS_PLANNED:
                raise
            reason = f"the target's table is not as planned: {error}"
            return TableVerdict(table=self._table.source, verified=Verified.DIFFERENT, reason=reason, differences=1)
        return None

    async def _compare(self, sides: Sides) -> TableVerdict:
        if self._job.level in (Level.BASIC, Level.STANDARD):
            await self._summary(sides)
        elif self._job.level is Level.DETAILED:
            await self._values(sides)
        else:
            await self._values(sides)
            await self._second_opinion(sides)
        return self._tally.verdict(self._job, self._table)

    async def _summary(self, sides: Sides) -> None:
        await self._control.checkpoint()
        tally = self._tally
        tally.source_rows, tally.target_rows = await row_counts(self._table, sides)
        rejected = len(self._job.rejects.get(self._table.source, ()))
        if self._job.level is Level.STANDARD:
            if self._key is not None:
                await self._key_set(sides, self._key)
            if not rejected and not tally.differences.left_out:
                found = await column_differences(self._job, self._table, self._columns, sides)
                tally.differences.add_named(found)
        ours = tally.source_rows - rejected + tally.differences.left_out
        if not tally.differences.rows and ours != tally.target_rows:
            tally.differences.rows = abs(ours - tally.target_rows)
            tally.reason = (
                f"{tally.source_rows} rows in the source, {rejected} rejected, {tally.target_rows} in the target"
            )

    async def _key_set(self, sides: Sides, key: Key) -> None:
        """Every key on both sides, without the other columns."""
        found = pairs(self._job, self._table, key.columns) if self._pool is not None else None
        if found is not None:
            try:
                await self._keyed(sides, key, found, key.columns, self._new_tally_for(key.columns))
            except StepFailed as error:
                if error.code != UNREADABLE:
                    raise
            else:
                return
        await self._raw(sides, key.columns, self._new_tally_for(key.columns))

    def _new_tally_for(self, columns: Sequence[ColumnPlan]) -> Tally:
        """A tally whose differences go to the main one's."""
        names = tuple(c.source for c in columns)
        self._tally.differences = self._new_differences(columns, names)
        return Tally(self._tally.differences)

    async def _values(self, sides: Sides) -> None:
        """Every value, on the fastest path that proves it."""
        try:
            if self._pool is not None and await self._arrow(sides):
                return
        except StepFailed as error:
            if error.code != UNREADABLE:
                raise
            # a collation, a module or a value that Arrow's readers can't take: the other path has its own
            self._tally, self._arrow_used = self._new_tally(), False
        if self._key is not None:
            await self._raw(sides, self._columns, self._tally)
        else:
            await self._multiset(sides, self._tally)

    async def _arrow(self, sides: Sides) -> bool:
        """By value through the workers; False where this table can't be compared so."""
        if self._key is None:
            return await self._ordered(sides)
        found = pairs(self._job, self._table, self._columns)
        if found is not None:
            await self._keyed(sides, self._key, found, self._columns, self._tally)
        return found is not None

    async def _second_opinion(self, sides: Sides) -> None:
        """The independent path, where the first one was not it already."""
        if not self._arrow_used:
            return
        second = self._new_tally()
        if self._key is not None:
            await self._raw(sides, self._columns, second)
        else:
            await self._multiset(sides, second)
        if second.differences.rows > self._tally.differences.rows:
            self._tally.differences = second.differences
            self._tally.reason = "the second, independent comparison found what the first one did not"

    async def _keyed(
        self, sides: Sides, key: Key, found: Sequence[Pair], columns: Sequence[ColumnPlan], tally: Tally
    ) -> None:
        """As Arrow, range by range in the workers; what they suspect is looked at row by row."""
        spans = await asyncio.to_thread(lambda: list(cut(sides.source, self._job, self._table, key)))
        resolver = Resolver(self._job, self._table, key, columns, sides=sides, differences=tally.differences)
        raw = Raw(self._job, self._table, key, columns, sides=sides)

        async def one(span: Range) -> None:
            if span.large:
                rows, shas = await raw.compare(span)
                same = shas[0] == shas[1] or await resolver.range(span)
            else:
                assert self._pool is not None
                result = await self._pool.run(compare_range, compare_job(self._job, self._table, found, key, span))
                rows, shas = (result.source_rows, result.target_rows), (result.source_sha256, result.target_sha256)
                if result.suspects is None:
                    same = await resolver.range(span)
                else:
                    same = not result.suspects or await resolver.keys(result.suspects)
            tally.add(span.n, (span.lo, span.hi), rows, shas, same=same)

        self._arrow_used = True
        await self._each(spans, one)

    async def _ordered(self, sides: Sides) -> bool:
        """By all columns in order; False where the sides can't be ordered alike."""
        order = order_of(self._job, self._table, self._columns)
        if order is None or self._pool is None:
            return False
        found = pairs(self._job, self._table, order.columns)
        spans = await asyncio.to_thread(order_ranges, sides.source, self._job, self._table, order)
        if found is None or spans is None:
            return False
        contents = self._contents(sides, self._tally)
        mark = f"{ORDERED}{self._table.columns.index(order.columns[0])}"

        async def one(span: Range) -> None:
            assert self._pool is not None
            result = await self._pool.run(compare_range, compare_job(self._job, self._table, found, order, span))
            same = result.suspects == () or await contents.range(order, span)
            rows = (result.source_rows, result.target_rows)
            shas = (f"{mark}:{result.source_sha256}", f"{mark}:{result.target_sha256}")
            self._tally.add(span.n, (span.lo, span.hi), rows, shas, same=same)

        self._arrow_used = True
        await self._each(spans, one)
        return True

    async def _multiset(self, sides: Sides, tally: Tally) -> None:
        rows, shas = await self._contents(sides, tally).table()
        tally.add(0, (None, None), rows, shas, same=shas[0] == shas[1])
        self._progress(tally)

    def _contents(self, sides: Sides, tally: Tally) -> Contents:
        return Contents(
            self._job, self._table, self._columns, sides=sides, differences=tally.differences, control=self._control
        )

    async def _raw(self, sides: Sides, columns: Sequence[ColumnPlan], tally: Tally) -> None:
        """Digests, range by range; unequal ranges are looked at row by row."""
        key = self._key
        assert key is not None
        spans = await asyncio.to_thread(lambda: list(cut(sides.source, self._job, self._table, key, rows=RAW_ROWS)))
        raw = Raw(self._job, self._table, key, columns, sides=sides)
        resolver = Resolver(self._job, self._table, key, columns, sides=sides, differences=tally.differences)
        for span in spans:
            await self._control.checkpoint()
            rows, shas = await raw.compare(span)
            same = shas[0] == shas[1] or await resolver.range(span)
            tally.add(span.n, (span.lo, span.hi), rows, shas, same=same)
            self._progress(tally)

    async def _each(self, spans: Sequence[Range], one: Any) -> None:
        """Ranges side by side, as many as there are workers and one more in waiting."""
        room = asyncio.Semaphore(self._job.streams + 1)

        async def guarded(span: Range) -> None:
            async with room:
                await self._control.checkpoint()
                await one(span)
                self._progress(self._tally)

        await together(guarded(span) for span in spans)

    def _progress(self, tally: Tally) -> None:
        total = self._job.table_facts(self._table).rows
        self._report(Progress(step=STEP, item=self._table.source, done=tally.source_rows, total=total or None))

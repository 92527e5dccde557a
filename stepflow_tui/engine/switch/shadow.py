"""Shadow reads by the engine: random rows read on both sides, timed and compared, so that there are figures before any
application reports one. They also keep the side that nobody reads warm.

Both sides are read at one common point, so lag is no difference. What differs there is still looked up again at the next
one before it counts.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.live.compare import TableComparison, settle
from stepflow_tui.engine.live.compare_sides import Form, Place, in_thread
from stepflow_tui.engine.live.points import CommonPoint, CommonPoints
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.discrepancy import Discrepancy
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.switch.reports import Batch, Suspect
from stepflow_tui.engine.switch.shadow_rows import ShadowRows

if TYPE_CHECKING:
    from stepflow_tui.engine.live.verifier_walk import TableWalk

ROUND_SECONDS: Final = 1.0
"""Between two common points: each costs a connection and a whole tail step."""
POINT_SECONDS: Final = 0.25
"""For so long a round reads at most; an open snapshot holds back the source's WAL."""
MOST_PENDING: Final = 1_000


class Comparing(Protocol):
    """What is asked of the live verifier."""

    @property
    def walked(self) -> tuple[TablePlan, ...]:
        """The tables that can be compared by key."""
        ...

    def total(self, table: str) -> int | None:
        """Rows that were once counted in one of them."""
        ...

    async def walk(self, table: TablePlan, seconds: float) -> TableWalk:
        """How one of them is read."""
        ...

    async def compare_keys(self, point: CommonPoint, table: str, keys: Iterable[Sequence[Any]]) -> list[Discrepancy]:
        """The rows of these keys that differ."""
        ...


@dataclass(frozen=True, slots=True)
class _Key:
    """One row to look at again."""

    table: str
    place: tuple[Any, ...]


class ShadowReads:
    """Reads a few rows a second on both sides.

    Args:
        points: common points (the tail).
        verifier: compares rows exactly.
        per_second: the budget.
        clock: time between rounds.
        timeout: seconds after which one read of the new side counts as timed out.
        chance: what chooses rows.
    """

    def __init__(
        self, points: CommonPoints, verifier: Comparing, *, per_second: int, clock: Clock, timeout: float = 1.0,
        chance: random.Random | None = None,
    ) -> None:  # fmt: skip
        self._points, self._verifier, self._clock = points, verifier, clock
        self._per_round = round(per_second * ROUND_SECONDS)
        self._timeout = timeout
        self._rows = ShadowRows(verifier.total, chance or random.Random())  # noqa: S311 - a sample
        self._pending: dict[_Key, None] = {}
        self._batch = Batch()
        self._asked = 0
        self.passed = False
        """Whether a pass is complete: small tables whole, a sample of large ones, and what differed was looked at again."""
        self.failure: StepFlowError | None = None
        """Why the newest round could not be made; None after one that could."""

    @property
    def nothing(self) -> bool:
        """Whether a complete pass found no row that could be read by its key."""
        return self.passed and not self._asked

    def restart(self) -> None:
        """Begin another pass."""
        self._rows.restart()
        self.passed = False

    def take(self) -> Batch:
        """What was found since the last call."""
        taken, self._batch = self._batch, Batch()
        return taken

    def suspect(self, rows: Iterable[Suspect]) -> None:
        """Rows that applications saw differ: they are compared at the next common point. Keys of several columns have no
        canonical text, so such rows are left to the verifier."""
        tables = {t.source: t for t in self._verifier.walked}
        for row in rows:
            table = tables.get(row.table)
            if table is not None and len(table.live_key) == 1 and len(self._pending) < MOST_PENDING:
                self._pending[_Key(row.table, (_value(table, row.key),))] = None

    async def run(self) -> None:
        """Round after round until cancelled. A round that fails is left out: whoever must not miss it is the tail.

        Raises:
            Stopping: by the control of the tail.
        """
        while True:
            try:
                await self.round()
                self.failure = None
            except StepFlowError as error:
                self.failure = error
            await self._clock.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """One common point: what is pending is looked at again, then new rows are read.

        Raises:
            StepFlowError: a side can't be read.
        """
        if not self._per_round and not self._pending:
            return
        with sqlite_errors("A shadow read of the source"), pg_errors("make shadow reads"):
            async with self._points.point() as point:
                await settle(point)
                await self._confirm(point)
                self.passed |= self._rows.passed  # what it found has been looked at again
                await self._sample(point)
        self.passed |= self._rows.passed and not self._pending

    async def _confirm(self, point: CommonPoint) -> None:
        again, self._pending = self._pending, {}
        for table in {key.table for key in again}:
            places = [key.place for key in again if key.table == table]
            self._batch.mismatches += len(await self._verifier.compare_keys(point, table, places))

    async def _sample(self, point: CommonPoint) -> None:
        plans = {t.source: t for t in self._verifier.walked}
        tables = {name: (await self._verifier.walk(plan, POINT_SECONDS)).comparison for name, plan in plans.items()}
        chosen = await in_thread(point.source, lambda: self._rows.choose(point.source, tables, self._per_round))
        self._batch.skipped += sum(map(len, chosen.values()))
        until = time.monotonic() + POINT_SECONDS
        for name, places in chosen.items():
            read = await self._read(point, tables[name], places, until)
            if read is None:
                return  # a statement that failed or was cancelled ends the snapshot
            self._batch.skipped -= len(read)
            for found in await self._differing(point, plans[name], read):
                self._pending[_Key(name, found)] = None
            self._rows.done(name, read)
            if time.monotonic() >= until:
                break

    async def _differing(self, point: CommonPoint, table: TablePlan, places: list[Place]) -> list[Place]:
        """Those of the rows that differ; which ones, is asked only when there are any."""
        if not await self._verifier.compare_keys(point, table.source, places):
            return []
        each = dict.fromkeys(places)
        return [p for p in each if await self._verifier.compare_keys(point, table.source, [p])]

    async def _read(
        self, point: CommonPoint, comparison: TableComparison, places: list[Place], until: float
    ) -> list[Place] | None:
        """Time one read by key on each side for each of them, for as long as there is time. Returns those that were read;
        None when the new side failed: nothing to compare then."""
        read: list[Place] = []
        for place, form in zip(places, await comparison.forms(places), strict=True):
            if read and time.monotonic() >= until:
                break
            seconds = await in_thread(point.source, lambda p=place: _timed(comparison, point, p))  # type: ignore[misc]
            self._batch.shadow.old.add(seconds)
            held = all(isinstance(value, int | bytes) for value in form)
            if held and not await self._ask(point, comparison, cast(Form, form)):
                return None
            read.append(place)
        return read

    async def _ask(self, point: CommonPoint, comparison: TableComparison, form: Form) -> bool:
        start = time.perf_counter()
        failure: Exception | None = None
        try:
            # not wait_for, which in Python 3.11 swallows a cancellation that comes as the answer does
            async with asyncio.timeout(self._timeout):
                await comparison.sides.rows_by_keys(point.target, [form])
        except Exception as error:
            failure = error
        self._batch.shadow.new.add(time.perf_counter() - start, failure)
        self._batch.shadows += 1
        self._asked += 1
        return failure is None


def _timed(comparison: TableComparison, point: CommonPoint, place: Place) -> float:
    start = time.perf_counter()
    comparison.sides.by_keys(point.source, [place])
    return time.perf_counter() - start


def _value(table: TablePlan, text: str) -> int | str:
    """The key as the source stores it."""
    column = next(c for c in table.columns if c.source == table.live_key[0])
    try:
        return int(text) if column.type.kind is Kind.INTEGER else text
    except ValueError:
        return text

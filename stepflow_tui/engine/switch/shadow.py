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
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.switch.reports import Batch, Suspect

if TYPE_CHECKING:
    from stepflow_tui.engine.live.verifier_walk import TableWalk

ROUND_SECONDS: Final = 2.0
"""Between two common points: each costs a connection and a whole tail step."""
POINT_SECONDS: Final = 0.5
"""For so long a round reads at most; an open snapshot holds back the source's WAL."""
MOST_PENDING: Final = 1_000


class Comparing(Protocol):
    """What is asked of the live verifier."""

    @property
    def walked(self) -> tuple[TablePlan, ...]:
        """The tables that can be compared by key."""
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
        self._chance = chance or random.Random()  # noqa: S311 - a sample
        self._pending: dict[_Key, None] = {}
        self._batch = Batch()
        self._places: dict[str, Place | None] = {}
        self.failure: StepFlowError | None = None
        """Why the newest round could not be made; None after one that could."""

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
                await self._sample(point, time.monotonic() + POINT_SECONDS)

    async def _confirm(self, point: CommonPoint) -> None:
        again, self._pending = self._pending, {}
        for table in {key.table for key in again}:
            places = [key.place for key in again if key.table == table]
            self._batch.mismatches += len(await self._verifier.compare_keys(point, table, places))

    async def _sample(self, point: CommonPoint, until: float) -> None:
        tables = self._verifier.walked
        chosen = self._chance.choices(tables, k=self._per_round) if tables else []
        for table in {t.source: t for t in chosen}.values():
            comparison = (await self._verifier.walk(table, POINT_SECONDS)).comparison
            count = sum(1 for t in chosen if t.source == table.source)
            places = await in_thread(point.source, lambda c=comparison, n=count: self._choose(point, c, n))  # type: ignore[misc]
            if not await self._read(point, comparison, places, until):
                return  # a statement that failed or was cancelled ends the snapshot
            for found in await self._differing(point, table, places):
                self._pending[_Key(table.source, found)] = None

    async def _differing(self, point: CommonPoint, table: TablePlan, places: list[Place]) -> list[Place]:
        """Those of the rows that differ; which ones, is asked only when there are any."""
        if not await self._verifier.compare_keys(point, table.source, places):
            return []
        return [p for p in places if await self._verifier.compare_keys(point, table.source, [p])]

    def _choose(self, point: CommonPoint, comparison: TableComparison, count: int) -> list[Place]:
        """Keys of random rows; of tables without a rowid the next ones in order."""
        sides, table = comparison.sides, comparison.table
        rowid = table.rowid_alias or table.rowid_name if not table.without_rowid else None
        if rowid is None:
            piece = sides.own_slice(point.source, self._places.get(table.source), count, POINT_SECONDS)
            self._places[table.source] = piece.last
            return [row[: sides.width] for row in piece.rows]
        x = lite_ident(rowid)
        low, high = point.source.execute(f"select min({x}), max({x}) from {lite_ident(table.source)}").fetchone()
        if low is None:
            return []
        starts = [(self._chance.randint(low - 1, high - 1),) if low > -(2**63) else None for _ in range(count)]
        slices = (sides.own_slice(point.source, start, 1, POINT_SECONDS) for start in starts)
        return list(dict.fromkeys(row[: sides.width] for piece in slices for row in piece.rows))

    async def _read(self, point: CommonPoint, comparison: TableComparison, places: list[Place], until: float) -> bool:
        """Time one read by key on each side for each of them. False when the new side failed: nothing to compare then."""
        forms = await comparison.forms(places)
        for place, form in zip(places, forms, strict=True):
            if time.monotonic() >= until:
                self._batch.skipped += 1
                continue
            seconds = await in_thread(point.source, lambda p=place: _timed(comparison, point, p))  # type: ignore[misc]
            self._batch.shadow.old.add(seconds)
            if all(isinstance(value, int | bytes) for value in form) and not await self._ask(
                point, comparison, cast(Form, form)
            ):
                return False
        return True

    async def _ask(self, point: CommonPoint, comparison: TableComparison, form: Form) -> bool:
        start = time.perf_counter()
        failure: Exception | None = None
        try:
            await asyncio.wait_for(comparison.sides.rows_by_keys(point.target, [form]), self._timeout)
        except Exception as error:
            failure = error
        self._batch.shadow.new.add(time.perf_counter() - start, failure)
        self._batch.shadows += 1
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

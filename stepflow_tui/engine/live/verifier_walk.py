"""How one pass walks a table: in slices, each read on both sides at one common point."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from stepflow_tui.engine.live.compare import TableComparison
from stepflow_tui.engine.live.compare_places import Form, Place, Row, plain_key
from stepflow_tui.engine.live.compare_sides import OddKey, in_thread
from stepflow_tui.engine.live.compare_tally import Suspects, Tally
from stepflow_tui.engine.live.points import CommonPoint
from stepflow_tui.engine.model.discrepancy import TableVerdict
from stepflow_tui.engine.verify.keys import KeyValue
from stepflow_tui.engine.verify.naming import Content, Differences, Found

_FIRST_ROWS = 1_000
_MOST_ROWS = 10_000
_FEWEST_ROWS = 50
_SPARE_ROWS = 500


@dataclass(slots=True, kw_only=True)
class Piece:
    """A slice as it was read; `size` in bytes of the source. What it shows goes to this tally and these differences."""

    tally: Tally
    differences: Differences
    rows: list[Row] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    ranged: bool = False
    suspects: Suspects = field(default_factory=Suspects)
    size: int = 0


class TableWalk:
    """The walk over one table.

    Where both sides sort alike, ranges of the key are compared. Else the source is walked in its own order and each key
    looked up in the target, then the target in its own order and each key looked up in the source.

    Args:
        comparison: the table.
        seconds: how long a slice may take to read.
    """

    def __init__(self, comparison: TableComparison, seconds: float) -> None:
        self.comparison = comparison
        self._seconds = seconds
        self._rows = _FIRST_ROWS
        self.poisoned = 0
        self._begin(ranged=comparison.sides.order is not None)

    def _begin(self, *, ranged: bool) -> None:
        self.tally = Tally()
        self.differences = self.comparison.new_differences()
        self._step: Callable[[CommonPoint], Awaitable[Piece]] = self._range if ranged else self._from_source
        self._lo: KeyValue | None = None
        self._place: Place | None = None
        self._after: list[str] | None = None
        self.done = False

    @property
    def table(self) -> str:
        """The source's table."""
        return self.comparison.table.source

    def limit_named(self, most: int) -> None:
        """Name at most so many differing rows. Before the first step."""
        self.differences = self.comparison.new_differences(most)

    def verdict(self, as_of_ms: int) -> TableVerdict:
        """The verdict after the last slice and the last look."""
        return self.comparison.verdict(self.tally, self.differences, poisoned=self.poisoned, as_of_ms=as_of_ms)

    async def step(self, point: CommonPoint) -> Piece:
        """Read the next slice at this point; `done` tells whether it was the last."""
        started = time.monotonic()
        try:
            piece = await self._step(point)
        except OddKey:
            # seen again in every pass, and the ranges before it may have hidden rows: compared by keys from the start
            self._begin(ranged=False)
            piece = await self._step(point)
        if self.done:
            await self._end(point)
        took = max(time.monotonic() - started, 0.001)
        self.tally.seconds += took
        faster = min(2.0, max(0.25, self._seconds / took))
        self._rows = round(min(_MOST_ROWS, max(_FEWEST_ROWS, self._rows * faster)))
        return piece

    def _piece(self, **read: Any) -> Piece:
        return Piece(tally=self.tally, differences=self.differences, **read)

    async def _range(self, point: CommonPoint) -> Piece:
        sides, lo = self.comparison.sides, self._lo
        part = await in_thread(point.source, lambda: sides.range_slice(point.source, lo, self._rows, self._seconds))
        hi = None if part.last is None else plain_key(part.last)
        limit = 2 * len(part.rows) + min(_SPARE_ROWS, self._rows)
        found = await sides.range_rows(point.target, lo, hi, limit)
        rows = part.rows
        if len(found) == limit:  # many extra rows: go on behind the last of them
            hi = sides.bound_of(found[-1])
            rows = [row for row in rows if plain_key(row[: sides.width]) <= hi]
        self._lo, self.done = hi, hi is None
        return self._piece(rows=rows, found=found, ranged=True, size=part.size)

    async def _from_source(self, point: CommonPoint) -> Piece:
        sides, after = self.comparison.sides, self._place
        part = await in_thread(point.source, lambda: sides.own_slice(point.source, after, self._rows, self._seconds))
        forms = await self.comparison.forms([row[: sides.width] for row in part.rows])
        found = await sides.rows_by_keys(point.target, [f for f in map(_held, forms) if f is not None])
        self._place = part.last
        if part.last is None:
            self._step = self._from_target
        return self._piece(rows=part.rows, found=found, size=part.size)

    async def _from_target(self, point: CommonPoint) -> Piece:
        sides = self.comparison.sides
        found, self._after = await sides.own_keys(point.target, self._after, self._rows)
        places = [place for form in found for place in sides.candidates(form)]
        rows = await in_thread(point.source, lambda: sides.by_keys(point.source, places))
        known = set(await self.comparison.forms([row[: sides.width] for row in rows]))
        surplus = [form for form in found if form not in known]
        self.tally.extra += len(surplus)
        self.done = self._after is None
        return self._piece(suspects=Suspects(forms=surplus))

    async def _end(self, point: CommonPoint) -> None:
        """What no range and no key finds, and how many rows the tail keeps aside."""
        comparison = self.comparison
        for held in await comparison.sides.keyless_rows(point.target, comparison.job.named):
            self.tally.extra += 1
            self.differences.surplus(comparison.target_key(held), held)
        self.poisoned = len(await comparison.quarantine(point))


def _held(form: Content) -> Form | None:
    """A key that the target can hold."""
    whole = all(v is None or isinstance(v, (int, bytes)) for v in form) and None not in form
    return cast(Form, form) if whole else None

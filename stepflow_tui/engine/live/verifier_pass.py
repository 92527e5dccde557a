"""One pass of the live verifier: slice by slice, each at a common point, suspects again at the next one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepflow_tui.engine.live.compare import settle
from stepflow_tui.engine.live.compare_sides import SLICE_BYTES
from stepflow_tui.engine.live.compare_tally import Suspects
from stepflow_tui.engine.live.points import CommonPoint
from stepflow_tui.engine.live.verifier_state import Pace, PassResult
from stepflow_tui.engine.live.verifier_walk import Piece, TableWalk
from stepflow_tui.engine.model.discrepancy import Discrepancy, TableVerdict, Verified

if TYPE_CHECKING:
    from stepflow_tui.engine.live.verifier import LiveVerifier

_STEPS = 3
"""Slices of one point: the last one may take longer than the ones before it."""


class Pass:
    """One pass: its queue of tables, what is to be looked at again, and what has been settled."""

    def __init__(self, verifier: LiveVerifier, pace: Pace) -> None:
        self._verifier = verifier
        self._pace = pace
        self._points, self._control, self._clock = verifier.tools
        self._queue: deque[TableWalk] = deque()
        self._pending: list[tuple[TableWalk, Piece, Suspects]] = []
        self._verdicts: dict[str, TableVerdict] = {v.table: v for v in verifier.left_out()}
        self._from_n: int | None = None
        self._to_n = 0
        self._count = 0
        self._longest = 0.0

    async def walk(self) -> PassResult:
        """All tables, then the invariants."""
        verifier, started = self._verifier, time.monotonic()
        repairs = verifier.state.repairs
        verifier.show(differing=verifier.last.differing if verifier.last else 0)
        self._queue.extend([await verifier.walk(t, self._pace.slice_seconds / _STEPS) for t in verifier.walked])
        ended: list[TableWalk] = []
        while self._queue or self._pending or ended or self._from_n is None:
            await self._control.checkpoint()
            pieces = await self._at_a_point()
            settled, ended = ended, [w for w, _ in pieces if w.done]
            for walk in settled:
                self._settle(walk)
            self._pending = [(w, p, s) for w, p in pieces if (s := await sifted(w, p))]
            waiting = {id(w) for w, _, _ in self._pending}
            for walk in [w for w in ended if id(w) not in waiting]:
                self._settle(walk)
            ended = [w for w in dict.fromkeys(ended) if id(w) in waiting]
        invariants = await self._invariants()
        result = self._result(invariants, time.monotonic() - started)
        verifier.finished(result, repairs)
        return result

    async def _at_a_point(self) -> list[tuple[TableWalk, Piece]]:
        """Look again at what differed, then read slices until the time is used up."""
        began = time.monotonic()
        async with self._points.point() as point:
            opened = time.monotonic()
            self._note(point)
            await settle(point)
            looked = [(w, p, await w.comparison.look(point, s)) for w, p, s in self._pending]
            pieces = await self._fill(point, opened)
        closed = time.monotonic()
        self._longest = max(self._longest, closed - opened)
        for walk, piece, seen in looked:
            if walk.comparison.judge(seen, piece.differences, piece.tally):
                self._verifier.doubt()
        self._progress(pieces)
        await self._pause(closed - began)
        return pieces

    def _note(self, point: CommonPoint) -> None:
        self._from_n = point.n if self._from_n is None else self._from_n
        self._to_n = point.n
        self._count += 1

    async def _fill(self, point: CommonPoint, opened: float) -> list[tuple[TableWalk, Piece]]:
        pieces: list[tuple[TableWalk, Piece]] = []
        held = 0
        took = 0.0
        until = opened + self._pace.slice_seconds
        while self._queue and held < SLICE_BYTES and (not pieces or time.monotonic() + took < until):
            began = time.monotonic()
            walk = self._queue[0]
            piece = await walk.step(point)
            pieces.append((walk, piece))
            held += piece.size
            took = time.monotonic() - began
            if walk.done:
                self._queue.popleft()
        return pieces

    def _settle(self, walk: TableWalk) -> None:
        self._verdicts[walk.table] = walk.verdict(self._clock.now_ms())

    def _progress(self, pieces: Sequence[tuple[TableWalk, Piece]]) -> None:
        verifier = self._verifier
        found = sum(v.differences + v.rejected_rows for v in self._verdicts.values())
        if pieces:
            walk = pieces[-1][0]
            found += walk.differences.rows if walk.table not in self._verdicts else 0
            verifier.show(
                table=walk.table,
                done=walk.tally.source.rows,
                total=verifier.total(walk.table),
                differing=max(found, verifier.state.differing),
            )

    async def _invariants(self) -> tuple[Discrepancy, ...]:
        """Those that don't hold at two points."""
        found: list[Discrepancy] = []
        for _ in range(2 if self._verifier.asks else 0):
            await self._control.checkpoint()
            began = time.monotonic()
            async with self._points.point() as point:
                self._note(point)
                found = await self._verifier.ask_invariants(point)
            await self._pause(time.monotonic() - began)
            if not found:
                break
        return tuple(found)

    async def _pause(self, seconds: float) -> None:
        if self._pace.duty < 1:
            await self._clock.sleep(self._pace.pause_after(seconds))

    def _result(self, invariants: tuple[Discrepancy, ...], seconds: float) -> PassResult:
        verdicts = tuple(self._verdicts.values())
        walked = [v for v in verdicts if v.table in {t.source for t in self._verifier.walked}]
        return PassResult(
            from_n=self._from_n or 0,
            to_n=self._to_n,
            verdicts=verdicts,
            invariants=invariants,
            clean=not invariants and all(v.verified is Verified.EQUAL for v in walked),
            points=self._count,
            longest_seconds=round(self._longest, 3),
            seconds=round(seconds, 3),
        )


async def sifted(walk: TableWalk, piece: Piece) -> Suspects:
    """What of a slice has to be looked at again."""
    if piece.suspects:
        return piece.suspects
    contents = await walk.comparison.contents(piece.rows)
    return await asyncio.to_thread(
        lambda: walk.comparison.sift(piece.rows, contents, piece.found, piece.tally, ranged=piece.ranged)
    )

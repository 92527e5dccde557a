"""Before writes go back: both sides stand still, and what was touched since the cutover is compared, exactly.

Both were proven equal behind the cutover's fence. Since then PostgreSQL's log has named every key that changed there, and
the source's own log whatever was written past the fence: all other rows are equal still.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.live.points import CommonPoint
from stepflow_tui.engine.live.verifier import LiveVerifier
from stepflow_tui.engine.model.discrepancy import DiffClass, Discrepancy, TableVerdict, Verified
from stepflow_tui.engine.postgres import progress, reverse_rows, touched
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.reverse_rows import Key
from stepflow_tui.engine.sqlite.capture import newest
from stepflow_tui.engine.sqlite.connect import open_living, real_path
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import plan_of, target_of
from stepflow_tui.engine.steps.live.proof import refuse_different, refuse_unequal
from stepflow_tui.engine.steps.verify import live_job

ROWS_PER_KEY = 10
"""So many rows are read and compared in the time that one takes to be looked up by its key on both sides."""


class StillPoints:
    """Common points while both sides are fenced: any two snapshots belong together."""

    def __init__(self, path: Path, target: Target) -> None:
        self._path = path
        self._target = target

    @asynccontextmanager
    async def point(self) -> AsyncIterator[CommonPoint]:
        """Two snapshots."""
        with pg_errors("open a snapshot of the target", self._target):
            target = await self._target.connect()
            await target.execute("begin transaction isolation level repeatable read read only")
        try:
            with sqlite_errors(f"Reading {self._path}"):
                source = await asyncio.to_thread(open_living, self._path, exact_rows=True)
            try:
                await asyncio.to_thread(source.execute, "begin")
                n = await asyncio.to_thread(newest, source)
                yield CommonPoint(n=n, source=source, target=target)
            finally:
                await asyncio.to_thread(source.close)
        finally:
            target.terminate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What was compared before writes went back: keys, and the source tables that were compared as a whole."""

    keys: int
    whole: tuple[str, ...]


async def prove_returned(ctx: RunContext) -> Returned:
    """Compare what was touched, both fenced; every row where it can't be told what was. Rows that SQLite can't hold, and
    that somebody gave up by name, are expected to be missing there and nothing else.

    Raises:
        Different: a row differs.
    """
    path, target = real_path(ctx.config.source.path), await target_of(ctx)
    points = StillPoints(path, target)
    verifier = LiveVerifier(
        await live_job(ctx, path, (await plan_of(ctx)).tables),
        points,
        run=ctx.run_id,
        clock=ctx.clock,
        rules=ctx.config.verify.rules,
    )
    try:
        async with points.point() as point:
            with pg_errors("compare what was touched", target), sqlite_errors(f"Reading {path}"):
                return await compare_back(verifier, point, ctx.run_id)
    finally:
        await verifier.close()


async def compare_back(verifier: LiveVerifier, point: CommonPoint, run: str) -> Returned:
    """The comparison itself, at a point where both sides stand still.

    Raises:
        Different: as `prove_returned`.
    """
    tables = [t.source for t in verifier.walked]
    given_up = await _given_up(point, run)
    whole = await _whole(verifier, point, run, tables)
    keys = 0
    for table in tables:
        lost = given_up.get(table, frozenset())
        if table in whole:
            verdict = await verifier.compare_whole(point, table)
            keys += verdict.target_rows or 0
            refuse_unequal(*(() if _as_expected(verdict, len(lost)) else (verdict,)))
        else:
            keys += await _compare_keys(verifier, point, table, lost)
    return Returned(keys=keys, whole=tuple(sorted(whole)))


async def _given_up(point: CommonPoint, run: str) -> Mapping[str, frozenset[Key]]:
    found: dict[str, set[Key]] = {}
    for blocker in await reverse_rows.blockers(point.target, run):
        found.setdefault(blocker.table, set()).add(blocker.key)
    return {table: frozenset(keys) for table, keys in found.items()}


async def _whole(verifier: LiveVerifier, point: CommonPoint, run: str, tables: Sequence[str]) -> frozenset[str]:
    """All tables unless the logs of both sides reach back to the cutover; what the source's own log names is compared."""
    if not await touched.is_sound(point.target):
        return frozenset(tables)
    stood = await progress.read(point.target, run)
    if stood is None:
        return frozenset(tables)
    try:
        _, found = await verifier.compare_logged(point, stood.w)
    except StepFailed as exc:
        if exc.code != "log_pruned":
            raise
        return frozenset(tables)
    refuse_different(found)
    whole = await touched.whole_tables(point.target, tables) & frozenset(tables)
    return whole | await touched.many(point.target, verifier.walked, ROWS_PER_KEY)


async def _compare_keys(verifier: LiveVerifier, point: CommonPoint, table: str, lost: frozenset[Key]) -> int:
    compared = 0
    async for page in touched.keys_touched(point.target, table):
        found = await verifier.compare_target_keys(point, table, [key for key in page if key not in lost])
        refuse_different(found)
        compared += len(page)
    missing = await verifier.compare_target_keys(point, table, sorted(lost))
    refuse_different([d for d in missing if not _is_lacking(d)])
    return compared


def _is_lacking(found: Discrepancy) -> bool:
    """Whether all there is to it is that SQLite lacks the row."""
    return found.cls is DiffClass.EXTRA


def _as_expected(verdict: TableVerdict, given_up: int) -> bool:
    return verdict.verified is Verified.EQUAL or (verdict.differences == given_up and not verdict.rejected_rows)

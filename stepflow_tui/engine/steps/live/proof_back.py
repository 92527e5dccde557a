"""Before writes go back: both sides stand still, and every row is compared once more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stepflow_tui.engine.live.points import CommonPoint
from stepflow_tui.engine.live.verifier import LiveVerifier
from stepflow_tui.engine.model.discrepancy import TableVerdict, Verified
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.capture import newest
from stepflow_tui.engine.sqlite.connect import open_living, real_path
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import plan_of, target_of
from stepflow_tui.engine.steps.live.proof import refuse_unequal
from stepflow_tui.engine.steps.live.returning import reverse_of
from stepflow_tui.engine.steps.verify import live_job


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


async def prove_returned(ctx: RunContext) -> int:
    """Compare all tables, both fenced. Rows that SQLite can't hold, and that somebody gave up by name, don't count.

    Returns:
        Rows compared.

    Raises:
        Different: a row differs.
    """
    path = real_path(ctx.config.source.path)
    verifier = LiveVerifier(
        await live_job(ctx, path, (await plan_of(ctx)).tables),
        StillPoints(path, await target_of(ctx)),
        run=ctx.run_id,
        clock=ctx.clock,
        rules=ctx.config.verify.rules,
    )
    try:
        result = await verifier.one_pass()
    finally:
        await verifier.close()
    given_up: dict[str, int] = {}
    for blocker in await (await reverse_of(ctx)).blockers():
        given_up[blocker.table] = given_up.get(blocker.table, 0) + 1
    walked = {t.source for t in verifier.walked}
    refuse_unequal(*(v for v in result.verdicts if v.table in walked and not _as_expected(v, given_up)))
    return sum(v.target_rows or 0 for v in result.verdicts)


def _as_expected(verdict: TableVerdict, given_up: dict[str, int]) -> bool:
    return verdict.verified is Verified.EQUAL or verdict.differences == given_up.get(verdict.table, 0)

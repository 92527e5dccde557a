"""Rows that the tail set aside, shown: the journal names them for report and differences, the gauge the first few."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.live.quarantine import Quarantine, read_quarantine
from stepflow_tui.engine.live.tail import Tail
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.discrepancy import Reject
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection, plan_of
from stepflow_tui.engine.steps.masking import mask_of

SHOWN = 20
"""Rows in the gauge: `status` shows them, the report has all."""

AGAIN = 10
"""Looks after which rows that are still set aside are read again: their reason may be another one by now."""

ANSWER_SECONDS = 5.0


@dataclass(slots=True)
class SetAside:
    """Shows them when their number changed, and from time to time. `count`: as it was shown; None before the first look."""

    count: int | None = None
    looks: int = 0

    async def look(self, ctx: RunContext, tail: Tail) -> None:
        """Show them if there may be other ones than before. A target that does not answer is asked the next time."""
        count, self.looks = tail.stats.poison, self.looks + 1
        if count == self.count and not (count and self.looks % AGAIN == 0):
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await show_set_aside(ctx)
        except (StepFlowError, TimeoutError):  # the tail asks the same server, and says so
            return
        self.count = count


async def show_set_aside(ctx: RunContext) -> None:
    """Read them, and show them from now on.

    Raises:
        StepFlowError: the target can't be read.
    """
    async with connection(ctx) as conn:
        tables = (await plan_of(ctx)).tables
        found = await read_quarantine(conn, ctx.run_id, real_path(ctx.config.source.path), tables, await mask_of(ctx))
    await ctx.journal.set_aside(found.rows)
    ctx.journal.gauge("live", {"set_aside": _gauge(found)})


def _gauge(found: Quarantine) -> dict[str, Any]:
    return {"tables": dict(found.counts), "rows": [_plain(r) for r in found.rows[:SHOWN]]}


def _plain(row: Reject) -> dict[str, Any]:
    return {"table": row.table, "key": to_plain(row.key), "column": row.column, "reason": row.reason}

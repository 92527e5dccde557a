"""Rows that the copy refused, once the application has corrected them and the tail has brought them: they are none any more."""

from __future__ import annotations

from collections.abc import Iterable

from stepflow_tui.engine.model.discrepancy import TableVerdict, Verified
from stepflow_tui.engine.postgres import ledger
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection


async def settle_rejects(ctx: RunContext, verdicts: Iterable[TableVerdict]) -> None:
    """Forget the refused rows of tables that are proven equal; of others they stay listed until nothing differs."""
    equal = {v.table for v in verdicts if v.verified is Verified.EQUAL}
    brought = sorted(equal & {r.table for r in await ctx.journal.rejects()})
    if not brought:
        return
    async with connection(ctx) as conn:
        for table in brought:
            await ledger.forget_rejects(conn, ctx.run_id, table)
    for table in brought:
        await ctx.journal.set_rejects(table, ())
    await ctx.journal.event("rejects_settled", {"tables": brought})

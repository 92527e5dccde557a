"""Copies the rows: cuts tables into segments once, then lets the workers empty the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stepflow_tui.engine.bulk.copy import CopyJob, copy_tables
from stepflow_tui.engine.bulk.outcome import CopyResult, TableResult, is_replaced
from stepflow_tui.engine.bulk.pool import WorkerLost
from stepflow_tui.engine.bulk.segments import Segment, SegmentPlanner, ledger_rows
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.discrepancy import Reject
from stepflow_tui.engine.model.finding import Finding, info
from stepflow_tui.engine.model.plan import Plan, TableFacts, TablePlan
from stepflow_tui.engine.model.sensitive import is_fingerprint
from stepflow_tui.engine.model.table import TableState
from stepflow_tui.engine.postgres import ledger
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.claim import claim_target
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import Frozen, connection, frozen_of, plan_of
from stepflow_tui.engine.steps.masking import mask_of
from stepflow_tui.engine.steps.memory import give_back
from stepflow_tui.engine.together import together

if TYPE_CHECKING:
    import asyncpg


class Copy(PlainStep):
    """Every chunk is one transaction with its ledger row: never twice, never with a gap."""

    name = "copy"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Copy what is open in the ledger. A table that can't be copied is named with its reason; the others go on.

        Raises:
            StepFailed: processes ended again and again at some tables; the others are copied, these can be tried again.
        """
        plan = await plan_of(ctx)
        return await copy_from(ctx, await frozen_of(ctx), tuple(t for t in plan.tables if t.impossible is None))


async def copy_from(ctx: RunContext, frozen: Frozen, tables: tuple[TablePlan, ...]) -> Evidence:
    """Copy what is open in the ledger of these tables, from a frozen file that the plan's facts belong to.

    Raises:
        StepFailed: as `Copy.apply`.
    """
    epoch = await claim_target(ctx)
    plan = await plan_of(ctx)
    await _cut(ctx, epoch, plan, frozen, tables)
    job = CopyJob(
        run=ctx.run_id,
        epoch=epoch,
        frozen=frozen.path,
        target=ctx.target,
        tables=tables,
        facts=plan.facts,
        encoding=plan.encoding,
        on_bad_value=ctx.config.copying.on_bad_value.value,
        streams=streams_of(ctx),
        max_rows_per_second=ctx.config.copying.max_rows_per_second,
        step=Copy.name,
        mask=await mask_of(ctx),
    )
    for table in tables:
        await ctx.journal.update_table(table.source, state=TableState.COPYING)
    give_back()
    result = await copy_tables(job, control=ctx.control, report=ctx.report, clock=ctx.clock)
    await _record(ctx, result)
    _refuse_lost(result)
    return {
        "rows": sum(t.rows for t in result.tables.values()),
        "rejected": sum(t.rejected for t in result.tables.values()),
        "stopped": {source: _words(t) for source, t in result.tables.items() if t.error is not None},
    }


def _refuse_lost(result: CopyResult) -> None:
    """A table is only given up for a reason of its own. What kills processes lies outside, and may be gone the next time."""
    lost = {source: t.error for source, t in result.tables.items() if isinstance(t.error, WorkerLost)}
    if lost:
        raise WorkerLost(
            f"The process that copies {', '.join(lost)} ended again and again.",
            detail=next(iter(lost.values())).detail,
            hint="Look for a killed process (out of memory?) in the system log, then `stepflow run` again: the other tables"
            " are copied. `tables.exclude` leaves a table out.",
        )


def _words(table: TableResult) -> str:
    return f"{table.error.message} {table.error.detail}".strip() if table.error is not None else ""


def streams_of(ctx: RunContext) -> int:
    """Worker processes, 0 for as many as fit."""
    streams = ctx.config.copying.streams
    return 0 if streams == "auto" else int(streams)


async def _cut(ctx: RunContext, epoch: int, plan: Plan, frozen: Frozen, tables: tuple[TablePlan, ...]) -> None:
    """Write the segments of tables that have none yet, each table's in one transaction."""
    async with connection(ctx) as conn:
        counts = await ledger.counts(conn, ctx.run_id)
        first = 1 + await ledger.newest_segment(conn, ctx.run_id)
        fresh = [t for t in tables if t.source not in counts]
        waiting = list(reversed(fresh))
        found: dict[str, list[Segment]] = {}

        async def lane() -> None:
            limit = ctx.config.copying.max_rows_per_second
            planner = SegmentPlanner(frozen.path, encoding=plan.encoding, max_rows_per_second=limit)
            try:
                while waiting:
                    await ctx.control.checkpoint()
                    table = waiting.pop()
                    facts = plan.facts.get(table.source) or TableFacts(rows=0)
                    with sqlite_errors(f"Cutting {table.source} into segments"):
                        found[table.source] = await asyncio.to_thread(planner.plan, table, facts)
            finally:
                await asyncio.to_thread(planner.close)

        await together((lane(), lane()))
        for table in fresh:
            rows = ledger_rows(found[table.source], first=first)
            first += len(rows)
            with pg_errors("write the segments"):
                async with conn.transaction():
                    await ledger.add_segments(conn, ctx.run_id, epoch, rows)


async def _record(ctx: RunContext, result: CopyResult) -> None:
    async with connection(ctx) as conn:
        found = [await _record_table(ctx, conn, source, table) for source, table in result.tables.items()]
    await ctx.journal.set_findings("copy", [f for f in found if f is not None])


async def _record_table(ctx: RunContext, conn: asyncpg.Connection, source: str, table: TableResult) -> Finding | None:
    """Journal what became of a table. Returns a finding that names the list of its replaced values, if there are any."""
    replaced = None
    rejects = await ledger.rejects(conn, ctx.run_id, table=source) if table.rejected or table.replaced else []
    refused = [r for r in rejects if not is_replaced(r)]
    if rejects:
        file = await asyncio.to_thread(_write_rejects, ctx.run_dir, source, rejects)
        await ctx.journal.set_rejects(source, [_filed(r, file) for r in refused])
        if table.replaced:
            replaced = info("values_replaced", source, count=table.replaced, file=file)
    state = TableState.COPYING if table.error is not None else TableState.COPIED
    await ctx.journal.update_table(
        source,
        state=state,
        target_rows=table.rows,
        rejected_rows=table.rejected,
        copy_seconds=round(table.seconds, 3),
        reason=_words(table),
    )
    return replaced


def _filed(reject: Reject, file: str) -> Reject:
    return replace(reject, file=file, value=None)


def _write_rejects(run_dir: Path, source: str, rejects: list[Reject]) -> str:
    """One JSON line per row, with its value: row data, so nobody else may read it. Returns the path.

    Keys and values of sensitive columns are fingerprints here too; the values themselves are in the backup.
    """
    folder = run_dir / "rejects"
    folder.mkdir(mode=0o700, exist_ok=True)
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in source)[:80]
    # names that differ only in odd characters must not share a file
    path = folder / f"{safe}.{hashlib.sha256(source.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}.ndjson"
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8", errors="surrogateescape") as out:
        for reject in rejects:
            row = {k: v for k, v in to_plain(reject).items() if k != "file"}
            if is_fingerprint(shown := (reject.value or b"").decode("ascii", "replace")):
                row["value"] = shown
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return str(path)

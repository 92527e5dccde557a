"""Compares both sides, and says whether the source is still the file that was copied."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from stepflow_tui.engine.application.records import left_out
from stepflow_tui.engine.bulk.outcome import is_replaced
from stepflow_tui.engine.bulk.pool import default_streams
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.config import Level, TablesMode
from stepflow_tui.engine.model.discrepancy import Discrepancy, Reject, TableVerdict, Verified
from stepflow_tui.engine.model.plan import Plan, TablePlan
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.model.table import TableState
from stepflow_tui.engine.plan.hashing import schema_hash
from stepflow_tui.engine.postgres import control, ledger
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.connect import open_living, real_path
from stepflow_tui.engine.sqlite.fingerprint import fingerprint, same_content
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.backup import backup_of
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RepairWanted, RunContext
from stepflow_tui.engine.steps.copy import streams_of
from stepflow_tui.engine.steps.facts import anchor_audit, connection, frozen_of, plan_of, target_of
from stepflow_tui.engine.steps.masking import mask_of
from stepflow_tui.engine.steps.repair import repair
from stepflow_tui.engine.steps.settle import settle_checklist
from stepflow_tui.engine.verify.hidden_bounds import hide_bounds
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.levels import verify_tables
from stepflow_tui.engine.verify.objects import verify_objects
from stepflow_tui.engine.verify.source_changed import against_living

OBJECTS = "(objects)"
"""Where differences of objects that belong to no table are listed."""


def refused_statements(plan: Plan, objects: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Ids of the statements whose object the run says is not carried, or left NOT VALID: known, not a difference.

    Args:
        objects: rows of the journal: id, carried, reason.
    """
    known = {o["id"]: bool(o["carried"]) and "NOT VALID" not in o["reason"] for o in objects}
    return frozenset(s.id for s in plan.statements if s.object_id is not None and not known.get(s.object_id, True))


class Verify(PlainStep):
    """The comparison at the configured level. Differences do not fail the step: they are what it is there to find."""

    name = "verify"

    async def apply(self, ctx: RunContext) -> Evidence:
        """One verdict per table, journalled as it stands."""
        plan, frozen = await plan_of(ctx), await frozen_of(ctx)
        tables = tuple(t for t in plan.tables if t.impossible is None)
        for table in tables:
            await ctx.journal.update_table(table.source, state=TableState.VERIFYING)
            # every table from the start: a total that grows as tables begin would make the percentage a lie
            facts = plan.facts.get(table.source)
            ctx.report(Progress(step=self.name, item=table.source, total=facts.rows if facts else None))
        job = await _job(ctx, plan, tables)
        verdicts = await verify_tables(job, control=ctx.control, report=ctx.report)
        if ctx.memory.find(RepairWanted) is not None:
            await save_verdicts(
                ctx, verdicts, await _objects(ctx, job, plan)
            )  # a repair may be refused: this is how it stands
            verdicts = await repair(ctx, job, tables, verdicts, lambda: _objects(ctx, job, plan))
        objects = await _objects(ctx, job, plan)
        if await self.touched(ctx):
            verdicts = await _against_the_living(ctx, plan, tables, verdicts)
        await save_verdicts(ctx, await _with_cause(ctx, verdicts), objects)
        await _keep_digests(ctx, verdicts)
        await anchor_audit(ctx)
        await settle_checklist(ctx)
        equal = sum(v.verified is Verified.EQUAL for v in verdicts)
        return {
            "tables": len(verdicts),
            "equal": equal,
            "level": ctx.config.verify.level.value,
            "sqlite": str(frozen.path),
        }

    async def touched(self, ctx: RunContext) -> bool:
        """Whether the living source may differ from the file that was compared."""
        return await source_was_touched(ctx)


async def save_verdicts(ctx: RunContext, verdicts: Sequence[TableVerdict], objects: Sequence[Discrepancy]) -> None:
    """Journal the verdicts, each with the differences of its table's objects."""
    tables = {t.source: t for t in (await plan_of(ctx)).tables}
    mask = await mask_of(ctx)
    for verdict in verdicts:
        mine = tuple(d for d in objects if d.table == verdict.table)
        ranges = hide_bounds(verdict.ranges, tables[verdict.table], mask)
        await ctx.journal.save_verdict(replace(verdict, discrepancies=(*verdict.discrepancies, *mine), ranges=ranges))
    tables_known = {v.table for v in verdicts}
    others = [d for d in objects if d.table not in tables_known]
    await ctx.journal.save_discrepancies(
        OBJECTS, [replace(d, table=OBJECTS, column=d.column or d.table) for d in others]
    )


async def _objects(ctx: RunContext, job: VerifyJob, plan: Plan) -> tuple[Discrepancy, ...]:
    """At `comprehensive`: constraints, defaults, sequences, views and triggers as the catalog has them. Tables made
    beforehand keep their maker's."""
    if job.level is not Level.COMPREHENSIVE or ctx.config.target.tables is TablesMode.EXISTING:
        return ()
    rows = await ctx.journal.fetch("SELECT id,carried,reason FROM object")
    return await verify_objects(job, refused=refused_statements(plan, rows))


async def _with_cause(ctx: RunContext, verdicts: tuple[TableVerdict, ...]) -> tuple[TableVerdict, ...]:
    """Where the copy gave a table up, that is why rows are missing: its reason comes before what was counted."""
    row = await ctx.journal.step_row("backfill.copy")
    stopped: dict[str, str] = json.loads(row["evidence"] or "{}").get("stopped") or {}
    return tuple(
        replace(v, reason=f"{stopped[v.table]} ({v.reason})" if v.reason else stopped[v.table])
        if v.table in stopped and v.verified is not Verified.EQUAL
        else v
        for v in verdicts
    )


async def _job(ctx: RunContext, plan: Plan, tables: tuple[TablePlan, ...]) -> VerifyJob:
    frozen = await frozen_of(ctx)
    return VerifyJob(
        level=ctx.config.verify.level,
        source=frozen.path,
        frozen=True,
        target=await target_of(ctx),
        tables=tables,
        facts=plan.facts,
        rejects=await rejects_of(ctx),
        utf16=frozen.schema.utf16,
        streams=streams_of(ctx) or default_streams(),
        on_bad_value=ctx.config.copying.on_bad_value,
        as_of_ms=ctx.clock.now_ms(),
        plan=plan,
        mask=await mask_of(ctx),
        left_out=left_out(ctx.run_dir),
    )


async def live_job(ctx: RunContext, path: Path, tables: Iterable[TablePlan]) -> VerifyJob:
    """What a verification against the living source works with."""
    wanted = tuple(t for t in tables if t.impossible is None)
    return replace(await _job(ctx, await plan_of(ctx), wanted), source=path, frozen=False, plan=None)


async def rejects_of(ctx: RunContext) -> dict[str, tuple[Reject, ...]]:
    """Rows the copy refused, by source table; values that were replaced are in the target and not among them."""
    async with connection(ctx) as conn:
        found = await ledger.rejects(conn, ctx.run_id) if await control.installed(conn) else await ctx.journal.rejects()
    by_table: dict[str, list[Reject]] = {}
    for reject in found:
        if not is_replaced(reject):
            by_table.setdefault(reject.table, []).append(reject)
    return {table: tuple(rows) for table, rows in by_table.items()}


async def source_was_touched(ctx: RunContext) -> bool:
    """Whether the source's file is not byte for byte as it was when the backup was made: written, checkpointed, replaced, gone."""
    backup = await backup_of(ctx)
    if backup is None:
        return False
    try:
        return not same_content(backup.source, await fingerprint(real_path(ctx.config.source.path)))
    except StepFlowError:
        return True


async def _against_the_living(
    ctx: RunContext, plan: Plan, tables: tuple[TablePlan, ...], verdicts: tuple[TableVerdict, ...]
) -> tuple[TableVerdict, ...]:
    """The file moved: each table is compared with it as it is now, and says as of when.

    Only when every table is equal and the catalog is the same was it a mere checkpoint or touch, and not a change.
    Digests and ranges of the first comparison are kept: they tell what this run left in the target.
    """
    path = real_path(ctx.config.source.path)
    job = replace(await _job(ctx, plan, tables), source=path, frozen=False, plan=None, as_of_ms=ctx.clock.now_ms())
    if job.level is Level.BASIC:
        job = replace(job, level=Level.DETAILED)
    try:
        living = await verify_tables(job, control=ctx.control, report=ctx.report)
        same_catalog = await asyncio.to_thread(_catalog, path) == schema_hash((await frozen_of(ctx)).schema)
    except StepFlowError as exc:
        await ctx.journal.mark_source_changed()
        reason = f"the source changed during the run and can't be read any more: {exc.message}"
        return tuple(replace(v, verified=Verified.NOT_VERIFIED, reason=reason) for v in verdicts)
    now = {v.table: v for v in living}
    moved = [v for v in verdicts if v.verified is Verified.EQUAL and now[v.table].verified is not Verified.EQUAL]
    moved += [v for v in verdicts if v.source_rows != now[v.table].source_rows]
    if moved or not same_catalog:
        await ctx.journal.mark_source_changed()
        return against_living(verdicts, living, as_of_ms=ctx.clock.now_ms())
    return verdicts


def _catalog(path: Path) -> str:
    with sqlite_errors(f"Reading the catalog of {path}"), closing(open_living(path)) as opened:
        return schema_hash(read_schema(opened))


async def _keep_digests(ctx: RunContext, verdicts: tuple[TableVerdict, ...]) -> None:
    """Beside the data too, while the control schema is there: a rollback can then prove from the target what is unchanged."""
    async with connection(ctx) as conn:
        if await control.installed(conn):
            for verdict in verdicts:
                await ledger.put_digests(conn, ctx.run_id, verdict.table, verdict.ranges)

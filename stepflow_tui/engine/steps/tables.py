"""Creates the tables, and takes them back: unchanged ones are dropped, changed ones renamed, nothing is lost unseen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.model.config import Mode, TablesMode
from stepflow_tui.engine.model.discrepancy import Verified
from stepflow_tui.engine.model.live import WRITER
from stepflow_tui.engine.model.plan import Plan, Stage, Statement, TablePlan
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.model.state import PhaseName
from stepflow_tui.engine.model.table import TableState
from stepflow_tui.engine.plan.quote import pg_ident, pg_literal, pg_name
from stepflow_tui.engine.postgres import control, ledger
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.fence import TRIGGER as GATE
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection, plan_of
from stepflow_tui.engine.steps.masking import planned_mask
from stepflow_tui.engine.steps.statements import RunStatements
from stepflow_tui.engine.verify.hidden_bounds import find_bounds
from stepflow_tui.engine.verify.recompute import table_digest

if TYPE_CHECKING:
    import asyncpg

OLD_PREFIX = "_stepflow_old_"
SET_ASIDE = "rolled back: changed since the copy, set aside as "


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A table whose content is not what this run left there."""

    source: str
    name: str
    rows: int
    expected: int | None


class CreateTables(RunStatements):
    """Schema and tables, without keys. Undoing it is what a rollback is about."""

    def __init__(self, loses: str = "changes made in the target since the copy") -> None:
        super().__init__("create-tables", Stage.SCHEMA, Stage.TABLE)
        self.loses = loses

    async def undo(self, ctx: RunContext) -> Evidence:
        """Drop what is unchanged; rename what changed, after a typed confirmation. Tables made beforehand are emptied."""
        async with connection(ctx) as conn:
            there, changed = await _compared(ctx, conn)
            names = await _take_back(ctx, conn, there, {c.source for c in changed})
            if not changed:  # helper functions of defaults and generated columns: a table set aside may still need them
                for statement in reversed(_own(await plan_of(ctx))):
                    with pg_errors(f"undo {statement.id}"):
                        await conn.execute(statement.undo)
            schema_gone = await _drop_made_schema(ctx, conn)
        aside = dict(zip((t.source for t in there if t.source in {c.source for c in changed}), names, strict=True))
        gone = "emptied" if ctx.config.target.tables is TablesMode.EXISTING else "dropped"
        for table in there:
            name = aside.get(table.source)
            await ctx.journal.update_table(
                table.source,
                state=TableState.UNDONE,
                target_rows=None,
                verified=Verified.NOT_VERIFIED,
                reason=f"{SET_ASIDE}{name}" if name else f"rolled back: unchanged since the copy, {gone}",
            )
        return {"dropped": len(there) - len(changed), "renamed": names, "schema_dropped": schema_gone}


async def consent(ctx: RunContext, phases: Sequence[str]) -> None:
    """Before a rollback takes anything back: whether rows would be set aside that somebody has to agree to first.

    Args:
        ctx: the run.
        phases: the phases that are to be undone.

    Raises:
        NeedsConfirmation: tables were changed since the run left them, and the run's name was not typed.
    """
    if PhaseName.BACKFILL not in phases or (await ctx.journal.step_row("backfill.create-tables"))["attempt"] == 0:
        return
    async with connection(ctx) as conn:
        await _compared(ctx, conn)


async def _compared(ctx: RunContext, conn: asyncpg.Connection) -> tuple[list[TablePlan], list[Changed]]:
    """The run's tables that are there, and those of them that were changed, which somebody has agreed to set aside."""
    there = await _existing(conn, ctx.target.schema, await plan_of(ctx))
    expected = await _expected_rows(ctx, conn)
    gated = await _gated(ctx, conn)
    looked = [t for t in there if t.name not in gated]
    if await _was_opened(ctx):
        found: list[Changed | None] = [await _anybodys(conn, t) for t in looked]
    else:
        async with WorkerPool(1) as pool:
            found = [await _changed(ctx, conn, t, expected.get(t.source), pool) for t in looked]
    changed = [c for c in found if c is not None]
    if changed:
        listed = ", ".join(
            f"{c.name} ({c.rows} rows, {c.expected if c.expected is not None else 'unknown'} expected)" for c in changed
        )
        ctx.need_typed(f"Tables of the target changed since the run left them, and would be set aside: {listed}.")
    return there, changed


async def _was_opened(ctx: RunContext) -> bool:
    """Whether the application may have written to the target: a live run that came to its cutover."""
    if ctx.config.mode is not Mode.LIVE:
        return False
    return int((await ctx.journal.step_row("cutover.cut-over"))["attempt"]) > 0


async def _anybodys(conn: asyncpg.Connection, table: TablePlan) -> Changed:
    """A table that the application could write to, without a gate now: never dropped, whatever its counts are."""
    with pg_errors(f"look at {table.target}"):
        rows = int(await conn.fetchval(f"select count(*) from {pg_name(table.schema, table.name)}"))
    return Changed(source=table.source, name=table.target, rows=rows, expected=None)


async def _gated(ctx: RunContext, conn: asyncpg.Connection) -> frozenset[str]:
    """Tables of a live run that refuse everybody else's writes: what is in them is what was carried there."""
    with pg_errors("look for the write gate"):
        rows = await conn.fetch(
            "select c.relname::text from pg_trigger t join pg_class c on c.oid = t.tgrelid"
            " join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = $1 and t.tgname = $2 and t.tgenabled = 'A'",
            ctx.target.schema,
            GATE,
        )
    return frozenset(r[0] for r in rows)


def _own(plan: Plan) -> list[Statement]:
    """What the step made besides tables: functions that a table set aside may still need."""
    return [s for stage in (Stage.SCHEMA, Stage.TABLE) for s in plan.stage(stage) if s.undo]


async def _existing(conn: asyncpg.Connection, schema: str, plan: Plan) -> list[TablePlan]:
    with pg_errors("look for the run's tables"):
        rows = await conn.fetch(
            "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = $1 and c.relkind in ('r', 'p')",
            schema,
        )
    names = {r[0] for r in rows}
    return [t for t in plan.tables if t.impossible is None and t.name in names]


async def _expected_rows(ctx: RunContext, conn: asyncpg.Connection) -> dict[str, int]:
    """Rows this run wrote, by source table: from the ledger while it is there, else from the journal."""
    if await control.installed(conn):
        return {table: count.rows for table, count in (await ledger.counts(conn, ctx.run_id)).items()}
    return {
        r["source"]: int(r["source_rows"]) - int(r["rejected_rows"])
        for r in await ctx.journal.table_rows()
        if r["source_rows"] is not None and r["target_rows"] is not None
    }


async def _changed(
    ctx: RunContext, conn: asyncpg.Connection, table: TablePlan, expected: int | None, pool: WorkerPool
) -> Changed | None:
    """Compare a table with what the run wrote: by digest where one was verified, by count before that."""
    await ctx.control.checkpoint()
    ctx.report(Progress(step="rollback", item=table.source, unit="tables"))
    with pg_errors(f"look at {table.target}"):
        rows = int(await conn.fetchval(f"select count(*) from {pg_name(table.schema, table.name)}"))
    mask = planned_mask(await plan_of(ctx), ctx.config, ctx.state_dir)
    kept = await ctx.journal.ranges(table.source)
    with pg_errors(f"look at {table.target}"):
        ranges = await find_bounds(conn, kept, table, mask)
    row = next(r for r in await ctx.journal.table_rows() if r["source"] == table.source)
    if kept and row["digest_target"]:
        same = (
            ranges is not None
            and await _as_written(ctx, row)
            and rows == sum(r.rows for r in ranges)
            and await table_digest(ctx.target, table, ranges, pool=pool) == row["digest_target"]
        )
    else:
        same = rows == (expected or 0)
    return None if same else Changed(source=table.source, name=table.target, rows=rows, expected=expected)


async def _as_written(ctx: RunContext, row: dict[str, Any]) -> bool:
    """Whether the verification found in the target what the run wrote, and nothing of anybody else.

    Its digest proves nothing for a table in which it named differences: they may be rows that somebody wrote meanwhile.
    """
    if row["digest_source"] == row["digest_target"]:
        return True
    found = await ctx.journal.fetch("SELECT 1 FROM discrepancy WHERE tbl=? LIMIT 1", (row["source"],))
    return not found and row["target_rows"] == row["source_rows"] - row["rejected_rows"]


async def _take_back(
    ctx: RunContext, conn: asyncpg.Connection, tables: list[TablePlan], changed: set[str]
) -> list[str]:
    """One transaction: rename the changed ones, drop the others together, so that keys between them don't matter."""
    renamed = []
    existing = ctx.config.target.tables is TablesMode.EXISTING
    with pg_errors("roll back the tables"):
        async with conn.transaction():
            await conn.execute(f"set local stepflow.origin = {pg_literal(WRITER)}")  # past a live run's own gate
            for table in tables:
                if table.source in changed:
                    renamed.append(await _set_aside(conn, table, keep_table=existing))
            rest = [pg_name(t.schema, t.name) for t in tables if existing or t.source not in changed]
            if rest and existing:
                await conn.execute(f"truncate {', '.join(rest)}")
            elif rest:
                await _cut_keys(
                    conn, [t for t in tables if t.source in changed], [t for t in tables if t.source not in changed]
                )
                await conn.execute(f"drop table {', '.join(rest)}")
            if await control.installed(conn):
                await conn.execute("delete from _stepflow.action where run = $1", ctx.run_id)
                await conn.execute("delete from _stepflow.ledger where run = $1", ctx.run_id)
    return renamed


async def _set_aside(conn: asyncpg.Connection, table: TablePlan, *, keep_table: bool) -> str:
    """Rename a table to a free name (63 bytes are PostgreSQL's limit); one made beforehand stays, its rows are copied there."""
    base = (OLD_PREFIX + table.name).encode()[:55].decode(errors="ignore")
    for n in range(1, 1000):
        name = base if n == 1 else f"{base}_{n}"
        if not await conn.fetchval("select to_regclass($1) is not null", pg_name(table.schema, name)):
            here = pg_name(table.schema, table.name)
            await conn.execute(
                f"create table {pg_name(table.schema, name)} as table {here}"
                if keep_table
                else f"alter table {here} rename to {pg_ident(name)}"
            )
            return name
    raise AssertionError("a thousand old tables of one name")


async def _cut_keys(conn: asyncpg.Connection, kept: list[TablePlan], dropped: list[TablePlan]) -> None:
    """A table that is kept can't go on referring to one that is dropped."""
    rows = await conn.fetch(
        "select n.nspname::text as schema, c.relname::text as child, con.conname::text as name from pg_constraint con"
        " join pg_class c on c.oid = con.conrelid join pg_namespace n on n.oid = c.relnamespace"
        " join pg_class p on p.oid = con.confrelid join pg_namespace pn on pn.oid = p.relnamespace"
        " where con.contype = 'f' and pn.nspname = $1 and p.relname = any($2::text[]) and not c.relname = any($2::text[])",
        dropped[0].schema,
        [t.name for t in dropped],
    )
    for row in rows if kept else []:
        await conn.execute(
            f"alter table {pg_name(row['schema'], row['child'])} drop constraint {pg_ident(row['name'])}"
        )


async def _drop_made_schema(ctx: RunContext, conn: asyncpg.Connection) -> bool:
    """Drop the schema only if this run made it (the claim looked before anything was made) and nothing is in it any more."""
    row = await ctx.journal.step_row("backfill.claim-target")
    if json.loads(row["evidence"] or "{}").get("schema_existed", True):
        return False
    with pg_errors("drop the run's schema"):
        empty = not await conn.fetchval(
            "select exists (select 1 from pg_depend d join pg_namespace n on n.oid = d.refobjid"
            " where d.refclassid = 'pg_namespace'::regclass and n.nspname = $1)",
            ctx.target.schema,
        )
        if empty:
            await conn.execute(f"drop schema if exists {pg_ident(ctx.target.schema)}")
    return empty

"""Removes everything of the live part from both databases, and compares their catalogs with what they should be."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.live import OURS, ROWID_COLUMN
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.postgres import changelog
from stepflow_tui.engine.postgres import fence as pg_fence
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.connect import SUFFIXES, real_path, shown, side_file
from stepflow_tui.engine.sqlite.holders import find_holders
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import backup_schema, connection
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS, run_tables
from stepflow_tui.engine.steps.live.living import living_schema
from stepflow_tui.engine.steps.live.observe import RENAME, STEP
from stepflow_tui.engine.steps.live.returning import FIGURES, SERVICE, returned_tables

if TYPE_CHECKING:
    import asyncpg

_LEFT = """
select format('trigger %I on %I', t.tgname, c.relname) from pg_trigger t join pg_class c on c.oid = t.tgrelid
  join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and not t.tgisinternal and t.tgname like '%stepflow%'
union all
select format('column %I.%I', c.relname, a.attname) from pg_attribute a join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and a.attname = $2 and not a.attisdropped
"""


class CleanUp(PlainStep):
    """The way back ends here. The old file stays, without anything of ours in it."""

    name = "clean-up"
    loses = "the way back: PostgreSQL alone is current from here on"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Stop the services, then remove; what was removed before is simply not there any more."""
        await ctx.services.stop(SERVICE, FIGURES, "tail", "verifier", "switch", "figures")
        tables = await run_tables(ctx)
        async with connection(ctx) as conn:
            if await conn.fetchval("select to_regclass('_stepflow.gate') is not null"):
                await changelog.remove_changelog(conn, await returned_tables(ctx), wait=GATE_SECONDS)
                await pg_fence.remove_gate(conn, tables, wait=GATE_SECONDS)
            dropped = [t.source for t in tables if await _drop_rowid(conn, t)]
            left = [r[0] for r in await conn.fetch(_LEFT, ctx.target.schema, ROWID_COLUMN)]
        removed = await capture.uninstall(real_path(ctx.config.source.path), ctx.run_id)
        left += await _left_in_source(ctx)
        if left:
            raise StepFailed(
                "Something of StepFlow is left after the clean-up.",
                detail="; ".join(left),
                hint="Look who holds it, then `stepflow run` again: it finishes the clean-up.",
                code="not_clean",
            )
        await ctx.journal.forget_gauges("lag", "wal")
        evidence = {"capture_removed": removed, "row_numbers_dropped": dropped}
        closing = json.loads((await ctx.journal.step_row(STEP))["evidence"] or "{}")
        if closing.get(RENAME):
            evidence["renamed"] = await _rename(real_path(ctx.config.source.path))
        return evidence


async def _rename(path: Path) -> str:
    """Give the old file another name, with its side files. Renaming it twice is harmless.

    Raises:
        StepFailed: somebody has it open.
    """
    aside = path.with_name(f"{path.name}.migrated")
    holders = await find_holders(path)
    if holders.processes:
        raise StepFailed(
            f"The old file {shown(path)} is still open elsewhere, so it was not renamed.",
            detail=", ".join(f"{p.command} ({p.pid})" for p in holders.processes),
            hint="Stop the program, then `stepflow run` again: it finishes the clean-up.",
            code="source_open",
        )
    for suffix in ("", *SUFFIXES):
        old = side_file(path, suffix) if suffix else path
        if old.exists():
            old.rename(side_file(aside, suffix) if suffix else aside)
    return shown(aside)


async def _drop_rowid(conn: asyncpg.Connection, table: TablePlan) -> bool:
    if table.rowid_column != ROWID_COLUMN:
        return False
    with pg_errors(f"drop the row numbers of {table.target}"):
        await conn.execute(
            f"alter table {pg_name(table.schema, table.name)} drop column if exists {pg_ident(ROWID_COLUMN)}"
        )
    return True


async def _left_in_source(ctx: RunContext) -> list[str]:
    """What the source's catalog has too much or too little, compared with the tested backup's."""
    was = _entries(await backup_schema(ctx))
    now = _entries(await asyncio.to_thread(living_schema, real_path(ctx.config.source.path)))
    ours = [f"{name} in the source" for name in sorted(now - was) if name.split(" ", 1)[1].startswith(OURS)]
    return ours + [f"{name} is missing in the source" for name in sorted(was - now)]


def _entries(schema: SourceSchema) -> set[str]:
    return {
        *(f"table {t.name}" for t in schema.tables),
        *(f"view {v.name}" for v in schema.views),
        *(f"trigger {t.name}" for t in schema.triggers),
    }

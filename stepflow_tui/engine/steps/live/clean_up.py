"""Removes everything of the live part from both databases, and compares their catalogs with what they should be."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.live import OURS, ROWID_COLUMN
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.postgres import changelog
from stepflow_tui.engine.postgres import fence as pg_fence
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.table_locks import in_tries, names_of
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.capture_state import read_control
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.connect import SUFFIXES, open_living, real_path, shown, side_file
from stepflow_tui.engine.sqlite.holders import find_holders
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.mark import Renamed, mark_of, read_mark, set_mark
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS, run_tables
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
        removed, missing = await _clear_source(ctx)
        left += missing
        if left:
            raise StepFailed(
                "Something of StepFlow is left after the clean-up.",
                detail="; ".join(left),
                hint="Look who holds it, then `stepflow run` again: it finishes the clean-up.",
                code="not_clean",
            )
        await changeover_of(ctx).forget()
        await ctx.journal.forget_gauges("lag", "wal")
        # the one file that stays beside the database, told so that nobody has to find it
        mark = shown(mark_of(real_path(ctx.config.source.path)))
        evidence = {"capture_removed": removed, "row_numbers_dropped": dropped, "mark": mark}
        closing = json.loads((await ctx.journal.step_row(STEP))["evidence"] or "{}")
        if closing.get(RENAME):
            evidence["renamed"] = await rename_source(real_path(ctx.config.source.path), ctx.run_id)
        return evidence


async def rename_source(path: Path, run_id: str) -> str:
    """Give the old file a name that nothing has, with its side files. Renaming it twice is harmless: the mark names file and
    new name before anything moves, so a file that an application makes under the old name meanwhile is left alone.

    Raises:
        StepFailed: somebody has it open, or it is gone.
    """
    with sqlite_errors(f"Renaming the old file {shown(path)}"):
        renamed = _renamed(path, run_id) or Renamed(name=_free_name(path), inode=path.stat().st_ino)
    aside = path.with_name(renamed.name)
    if _is(aside, renamed.inode):
        return shown(aside)
    if not _is(path, renamed.inode):
        raise StepFailed(
            f"The old file {shown(path)} is gone: somebody else moved it before the clean-up could rename it.",
            detail=f"nor is it {shown(aside)}",
            hint=f"Put it to {shown(aside)}, then `stepflow run` again: it finishes the clean-up.",
            code="source_gone",
        )
    await _refuse_open(path)
    with sqlite_errors(f"Renaming the old file {shown(path)}"):
        set_mark(path, run_id, renamed=renamed)
        _rename(path, aside)
    return shown(aside)


async def _refuse_open(path: Path) -> None:
    holders = await find_holders(path)
    if holders.processes:
        raise StepFailed(
            f"The old file {shown(path)} is still open elsewhere, so it was not renamed.",
            detail=", ".join(f"{p.command} ({p.pid})" for p in holders.processes),
            hint="Stop the program, then `stepflow run` again: it finishes the clean-up.",
            code="source_open",
        )


def _rename(path: Path, aside: Path) -> None:
    for suffix in (*SUFFIXES, ""):  # the file last: its new name says that all of them have theirs
        old = side_file(path, suffix) if suffix else path
        if old.exists():
            old.rename(side_file(aside, suffix) if suffix else aside)


def _renamed(path: Path, run_id: str) -> Renamed | None:
    """What an engine before this one was about to rename, or has renamed."""
    # a mark that makes no sense names nothing; it is written anew
    with sqlite_errors(f"The mark beside {shown(path)}"), suppress(ValueError):
        mark = read_mark(path)
        return mark.renamed if mark is not None and mark.run == run_id else None
    return None


def _is(path: Path, inode: int) -> bool:
    return path.exists() and path.stat().st_ino == inode


def _free_name(path: Path) -> str:
    """`.migrated`, or with a number where an earlier migration left its file."""
    names = (f"{path.name}.migrated" + (f"-{n}" if n > 1 else "") for n in count(1))
    return next(n for n in names if not any(path.with_name(n + suffix).exists() for suffix in ("", *SUFFIXES)))


async def _drop_rowid(conn: asyncpg.Connection, table: TablePlan) -> bool:
    if table.rowid_column != ROWID_COLUMN:
        return False

    async def drop(conn: asyncpg.Connection) -> None:
        await conn.execute(
            f"alter table {pg_name(table.schema, table.name)} drop column if exists {pg_ident(ROWID_COLUMN)}"
        )

    with pg_errors(f"drop the row numbers of {table.target}"):
        await in_tries(conn, names_of([table]), drop, wait=GATE_SECONDS)
    return True


async def _clear_source(ctx: RunContext) -> tuple[bool, list[str]]:
    """Take everything of ours out of the old file. Returns whether there was anything, and what its catalog has too much or
    too little afterwards.

    Compared with what it had just before, and not with the backup: the application may have dropped things since.
    """
    path = real_path(ctx.config.source.path)
    if _renamed(path, ctx.run_id) is not None:
        return False, []  # it was clean when the renaming began; what stands under the name now may be somebody else's
    before = await asyncio.to_thread(_entries, path)
    with sqlite_errors(f"The mark beside {path}"):
        await asyncio.to_thread(set_mark, path, ctx.run_id)  # first: nobody must find the file without both
    removed = await capture.uninstall(path, ctx.run_id, with_fence=True, keep_mark=True)
    now = await asyncio.to_thread(_entries, path)
    ours = [f"{name} in the source" for name in sorted(now) if _is_ours(name)]
    return removed, ours + [f"{name} is missing in the source" for name in sorted(before - now) if not _is_ours(name)]


def _is_ours(entry: str) -> bool:
    return entry.split(" ", 1)[1].startswith(OURS)


def _entries(path: Path) -> set[str]:
    """What the application has, the triggers included that the fence took off and that are kept to be put back."""
    with sqlite_errors(f"Reading the catalog of {path}"), closing(open_living(path)) as opened:
        schema, control = read_schema(opened), read_control(opened)
    kept = json.loads(control.app_triggers) if control is not None else []
    return {
        *(f"table {t.name}" for t in schema.tables),
        *(f"view {v.name}" for v in schema.views),
        *(f"trigger {t.name}" for t in schema.triggers),
        *(f"trigger {t['name']}" for t in kept),
    }

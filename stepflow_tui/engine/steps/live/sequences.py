"""Next values of the target's identity columns, set under the fence: beyond every key, and beyond what AUTOINCREMENT gave out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.applying import immediate, open_applying
from stepflow_tui.engine.sqlite.connect import open_living, real_path
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import backup_schema, plan_of

if TYPE_CHECKING:
    import asyncpg

WAIT_SECONDS = 30.0
"""For the file's write lock, while the application is kept out anyway."""


async def set_sequences(ctx: RunContext, conn: asyncpg.Connection) -> int:
    """Set every one; returns how many. Keys below 1 don't count, as in SQLite."""
    given = await asyncio.to_thread(_given, real_path(ctx.config.source.path))
    count = 0
    for table in (await plan_of(ctx)).tables:
        for column in table.columns:
            if column.identity and table.impossible is None:
                await _set(conn, table, column.target, max(given.get(table.source, 0), 0))
                count += 1
    return count


async def return_sequences(ctx: RunContext, conn: asyncpg.Connection) -> int:
    """The same for AUTOINCREMENT on the way back: what PostgreSQL gave out is never given out again, though the row may be
    gone by now. Both sides are fenced. Returns how many tables count on from there."""
    given: dict[str, int] = {}
    for table in (await plan_of(ctx)).tables:
        for column in table.columns:
            if column.identity and table.impossible is None and column.source == table.rowid_alias:
                given[table.source] = await _given_out(conn, table, column.target)
    counting = {t.name for t in (await backup_schema(ctx)).tables if t.autoincrement}
    wanted = {name: last for name, last in given.items() if last > 0 and name in counting}
    if wanted:
        await asyncio.to_thread(_count_on, real_path(ctx.config.source.path), wanted)
    return len(wanted)


async def _given_out(conn: asyncpg.Connection, table: TablePlan, column: str) -> int:
    name = pg_name(table.schema, table.name)
    with pg_errors(f"read the next value of {table.target}"):
        last = await conn.fetchval(
            "select pg_sequence_last_value(pg_get_serial_sequence($1, $2)::regclass)", name, column
        )
    return int(last or 0)


def _count_on(path: Path, given: Mapping[str, int]) -> None:
    named = sqlite_errors(f"The sequences of {path}")
    with named, closing(open_applying(path)) as opened, immediate(opened, path, WAIT_SECONDS):
        for name, last in given.items():
            raised = opened.execute("update sqlite_sequence set seq=max(seq, ?) where name=?", (last, name))
            if not raised.rowcount:
                opened.execute("insert into sqlite_sequence(name, seq) values (?, ?)", (name, last))


async def _set(conn: asyncpg.Connection, table: TablePlan, column: str, given: int) -> None:
    name = pg_name(table.schema, table.name)
    with pg_errors(f"set the next value of {table.target}"):
        await conn.execute(
            "select setval(pg_get_serial_sequence($1, $2), greatest(m, 1), m >= 1)"
            f" from (select greatest(coalesce(max({pg_ident(column)}), 0), $3::bigint) as m from {name}) as keys",
            name,
            column,
            given,
        )


def _given(path: Path) -> dict[str, int]:
    """The largest key that AUTOINCREMENT ever gave out, by table."""
    with sqlite_errors(f"Reading the sequences of {path}"), closing(open_living(path)) as opened:
        if opened.execute("select 1 from sqlite_schema where name = 'sqlite_sequence'").fetchone() is None:
            return {}
        rows = opened.execute("select name, seq from sqlite_sequence").fetchall()
    return {str(name): seq for name, seq in rows if isinstance(seq, int)}

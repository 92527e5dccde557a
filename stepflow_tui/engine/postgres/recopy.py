"""Which tables are to be copied again: written down before the source's new schema is accepted, so that no crash forgets it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

EVERY = "*"
"""Stands for all tables: nobody knows yet which ones."""


async def due(conn: asyncpg.Connection, run: str) -> frozenset[str]:
    """Source names of the tables to copy again, or EVERY."""
    with pg_errors("read which tables are to be copied again"):
        return frozenset(r[0] for r in await conn.fetch("select tb from _stepflow.recopy where run = $1", run))


async def note(conn: asyncpg.Connection, run: str, tables: Collection[str]) -> None:
    """These instead of what stood there before; none: nothing is left to do. One transaction."""
    with pg_errors("note which tables are to be copied again"):
        async with conn.transaction():
            await conn.execute("delete from _stepflow.recopy where run = $1", run)
            rows = [(run, table) for table in sorted(tables)]
            await conn.executemany("insert into _stepflow.recopy (run, tb) values ($1, $2)", rows)

"""The keys that changed in PostgreSQL since writes moved there: what both sides have to be compared by before they move back.

Both sides were proven equal when the reverse log began, so rows that it never named are equal still. Purging the log
therefore keeps its keys here, each once, in the transaction that removes them there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING

from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.reverse_rows import Key

if TYPE_CHECKING:
    import asyncpg

PAGE_ROWS = 5_000

HASH = "sha256(convert_to(k::text, 'UTF8'))"
"""What a key is found by: a long one would not fit into an index."""

TABLES = """
create table if not exists _stepflow.touched (tb text not null, h bytea not null, k text[] not null, primary key (tb, h));
create table if not exists _stepflow.kept (one boolean primary key default true check (one), keys bigint not null);
"""
"""`kept` counts the rows of `touched`: a list that somebody shortened proves nothing."""

_MARK = f"""
with added as (
  insert into _stepflow.touched (tb, h, k) select tb, {HASH}, k from (select unnest($1::text[]), '{{}}'::text[]) as whole (tb, k)
  on conflict do nothing returning 1
)
update _stepflow.kept set keys = keys + (select count(*) from added)
"""
_MANY = """
select w.tb from unnest($1::text[], $2::text[]) as w (tb, name) join pg_class c on c.oid = w.name::regclass
  join (select tb, count(*) as keys from _stepflow.touched group by tb) t using (tb)
where t.keys > 1000 and t.keys * $3 > greatest(c.reltuples, 0)
"""
_WHOLE = """
select tb from unnest($1::text[]) as wanted (tb) join _stepflow.touched using (tb) where h = sha256('{}'::bytea)
union select tb from _stepflow.clog where k = '{}'
"""
_SOUND = """
select exists (select from _stepflow.kept where keys = (select count(*) from _stepflow.touched))
"""


async def begin(conn: asyncpg.Connection) -> None:
    """Forget what an earlier way back kept. In the caller's transaction."""
    await conn.execute("truncate _stepflow.touched, _stepflow.kept; insert into _stepflow.kept (keys) values (0)")


async def mark_whole(conn: asyncpg.Connection, tables: Iterable[str]) -> None:
    """Any row of these source tables may differ from now on."""
    await conn.execute(_MARK, sorted(tables))


async def count(conn: asyncpg.Connection) -> int:
    """How many keys there are to compare: those kept, told without reading them, and the entries of the log."""
    with pg_errors("read the touched keys"):
        sql = "select (select coalesce(max(keys), 0) from _stepflow.kept) + (select count(*) from _stepflow.clog)"
        return int(await conn.fetchval(sql))


async def is_sound(conn: asyncpg.Connection) -> bool:
    """Whether the list can be believed: it is there, and nobody took from it."""
    if await conn.fetchval("select to_regclass('_stepflow.kept') is null or to_regclass('_stepflow.touched') is null"):
        return False
    return bool(await conn.fetchval(_SOUND))


async def whole_tables(conn: asyncpg.Connection, tables: Iterable[str]) -> frozenset[str]:
    """Those of these source tables that have to be compared as a whole, by the list or by what the log still holds."""
    rows = await conn.fetch(_WHOLE, list(tables))
    return frozenset(row[0] for row in rows)


async def many(conn: asyncpg.Connection, tables: Sequence[TablePlan], times: int) -> frozenset[str]:
    """Tables of which so large a part was touched that reading all of it is quicker than looking the keys up.

    Args:
        times: how many rows are read in the time in which one key is looked up.
    """
    names = [pg_name(t.schema, t.name) for t in tables]
    rows = await conn.fetch(_MANY, [t.source for t in tables], names, times)
    return frozenset(row[0] for row in rows)


async def keys_touched(conn: asyncpg.Connection, table: str) -> AsyncIterator[list[Key]]:
    """The keys of one source table, page by page, in the caller's snapshot."""
    rows = await conn.fetch("select distinct k from _stepflow.clog where tb = $1 and k <> '{}'", table)
    for start in range(0, len(rows), PAGE_ROWS):
        yield [tuple(row[0]) for row in rows[start : start + PAGE_ROWS]]
    after = b""
    while True:
        rows = await conn.fetch(
            "select h, k from _stepflow.touched where tb = $1 and h > $2 order by h limit $3", table, after, PAGE_ROWS
        )
        if not rows:
            return
        after = rows[-1][0]
        yield [tuple(row[1]) for row in rows if row[1]]

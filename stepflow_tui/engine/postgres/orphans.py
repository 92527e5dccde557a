"""Counts the rows that keep a foreign key from being validated, from what the catalog says about the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

_KEYS = """
select con.conname::text as name, cn.nspname::text as child_schema, c.relname::text as child, pn.nspname::text as parent_schema, p.relname::text as parent,
  (select array_agg(a.attname::text order by k.n) from unnest(con.conkey) with ordinality k(num, n) join pg_attribute a on a.attrelid = con.conrelid and a.attnum = k.num) as child_columns,
  (select array_agg(a.attname::text order by k.n) from unnest(con.confkey) with ordinality k(num, n) join pg_attribute a on a.attrelid = con.confrelid and a.attnum = k.num) as parent_columns
from pg_constraint con join pg_class c on c.oid = con.conrelid join pg_namespace cn on cn.oid = c.relnamespace
  join pg_class p on p.oid = con.confrelid join pg_namespace pn on pn.oid = p.relnamespace
where con.contype = 'f' and not con.convalidated and cn.nspname = $1
"""


async def orphan_counts(conn: asyncpg.Connection, schema: str) -> dict[tuple[str, str], int]:
    """Rows without a parent, by (child table, constraint), of every foreign key of the schema that is NOT VALID."""
    with pg_errors("count orphans of foreign keys"):
        keys = await conn.fetch(_KEYS, schema)
        return {(k["child"], k["name"]): int(await conn.fetchval(_count_sql(k))) for k in keys}


def _count_sql(key: asyncpg.Record) -> str:
    child, parent = pg_name(key["child_schema"], key["child"]), pg_name(key["parent_schema"], key["parent"])
    pairs = list(zip(key["child_columns"], key["parent_columns"], strict=True))
    given = " and ".join(f"c.{pg_ident(mine)} is not null" for mine, _ in pairs)
    same = " and ".join(f"p.{pg_ident(theirs)} = c.{pg_ident(mine)}" for mine, theirs in pairs)
    return f"select count(*) from {child} c where {given} and not exists (select 1 from {parent} p where {same})"

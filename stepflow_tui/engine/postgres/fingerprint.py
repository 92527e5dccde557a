"""A fingerprint of a whole database, to prove that `check`, `plan` and `verify` change nothing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

_OURS = "n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
# oid and file number are part of it: a table dropped and made again in the same form is a change
_QUERIES = (
    f"select n.oid, n.nspname, n.nspowner, n.nspacl::text from pg_namespace n where {_OURS} order by 1",
    (
        "select c.oid, n.nspname, c.relname, c.relkind::text, c.relowner, c.relfilenode, c.relacl::text, c.reloptions::text,"
        f" c.relrowsecurity, c.relforcerowsecurity from pg_class c join pg_namespace n on n.oid = c.relnamespace where {_OURS} order by 1"
    ),
    (
        "select a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attidentity::text, a.attgenerated::text,"
        " a.attcollation, a.attacl::text, pg_get_expr(d.adbin, d.adrelid) from pg_attribute a join pg_class c on c.oid = a.attrelid"
        " join pg_namespace n on n.oid = c.relnamespace left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum"
        f" where {_OURS} order by 1, 2"
    ),
    (
        "select x.oid, x.conname, pg_get_constraintdef(x.oid), x.convalidated from pg_constraint x"
        f" join pg_namespace n on n.oid = x.connamespace where {_OURS} order by 1"
    ),
    (
        "select i.indexrelid, pg_get_indexdef(i.indexrelid), i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid"
        f" join pg_namespace n on n.oid = c.relnamespace where {_OURS} order by 1"
    ),
    (
        "select g.oid, pg_get_triggerdef(g.oid), g.tgenabled::text from pg_trigger g join pg_class c on c.oid = g.tgrelid"
        f" join pg_namespace n on n.oid = c.relnamespace where {_OURS} order by 1"
    ),
    (
        f"select c.oid, pg_get_viewdef(c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace where {_OURS}"
        " and c.relkind in ('v', 'm') order by 1"
    ),
    f"select p.oid, p.proname, p.prosrc, p.proowner, p.proacl::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace where {_OURS} order by 1",
    f"select t.oid, t.typname, t.typtype::text from pg_type t join pg_namespace n on n.oid = t.typnamespace where {_OURS} order by 1",
    "select oid, extname, extversion from pg_extension order by 1",
    "select defaclrole, defaclnamespace, defaclobjtype::text, defaclacl::text from pg_default_acl order by 1, 2, 3",
    "select polrelid, polname, pg_get_expr(polqual, polrelid) from pg_policy order by 1, 2",
)
_RELATIONS = (
    "select n.nspname, c.relname, c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
    f" where {_OURS} and c.relkind in ('r', 'S') order by c.oid"
)


async def catalog_fingerprint(conn: asyncpg.Connection, *, data: bool = False) -> str:
    """sha256 over everything the catalog says about user objects, and over sequence values.

    Args:
        conn: not inside a transaction; its role must be able to read what is to be proved.
        data: cover the rows too (reads every table).
    """
    digest = hashlib.sha256()
    with pg_errors("take a fingerprint of the target"):
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            for query in _QUERIES:
                for row in await conn.fetch(query):
                    digest.update(repr(tuple(row)).encode())
                digest.update(b"\x00")
            for schema, name, kind in await conn.fetch(_RELATIONS):
                if kind == "S":
                    query = f"select last_value, is_called from {pg_name(schema, name)}"
                elif data:
                    query = (
                        "select count(*), coalesce(sum(('x' || substr(md5(t::text), 1, 16))::bit(64)::bigint::numeric), 0)::text"
                        f" from only {pg_name(schema, name)} t"
                    )
                else:
                    continue
                digest.update(repr((schema, name, *(await conn.fetch(query))[0])).encode())
    return digest.hexdigest()

"""Foreign keys of tables made beforehand: taken off for the load, put back after it.

A child row that arrives before its parent would be refused. Definition and removal are one transaction in the target,
so that whatever happens in between, the definitions are there to be put back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.table_locks import in_tries

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

LOCK_SECONDS = 30.0
"""How long to try for the locks that taking keys off, or putting them on, needs."""

_TABLE = (
    "create table if not exists _stepflow.lifted (run text not null, tb_schema text not null, tb text not null,"
    " name text not null, definition text not null, back boolean not null default false, primary key (run, tb_schema, tb, name))"
)
_KEYS = """
select n.nspname::text as tb_schema, c.relname::text as tb, con.conname::text as name, pg_get_constraintdef(con.oid) as definition
from pg_constraint con join pg_class c on c.oid = con.conrelid join pg_namespace n on n.oid = c.relnamespace
  join pg_class p on p.oid = con.confrelid join pg_namespace pn on pn.oid = p.relnamespace
where con.contype = 'f' and con.conparentid = 0
  and ((n.nspname = $1 and c.relname = any($2::text[])) or (pn.nspname = $1 and p.relname = any($2::text[])))
"""


async def lift(conn: asyncpg.Connection, run_id: str, schema: str, tables: Sequence[str]) -> int:
    """Take off every foreign key from or to these tables; what was taken off before stays recorded. Returns how many."""
    with pg_errors("take the foreign keys off for the load"):
        await conn.execute(_TABLE)
        keys = await conn.fetch(_KEYS, schema, list(tables))
        names = sorted({pg_name(key["tb_schema"], key["tb"]) for key in keys})

        async def off(conn: asyncpg.Connection) -> None:
            for key in keys:
                await _lift(conn, run_id, key)

        await in_tries(conn, names, off, wait=LOCK_SECONDS)
    return len(keys)


async def _lift(conn: asyncpg.Connection, run_id: str, key: asyncpg.Record) -> None:
    await conn.execute(
        "insert into _stepflow.lifted values ($1, $2, $3, $4, $5)"
        " on conflict (run, tb_schema, tb, name) do update set definition = excluded.definition, back = false",
        run_id, key["tb_schema"], key["tb"], key["name"], key["definition"],
    )  # fmt: skip
    await conn.execute(f"alter table {pg_name(key['tb_schema'], key['tb'])} drop constraint {pg_ident(key['name'])}")


async def put_back(conn: asyncpg.Connection, run_id: str) -> list[str]:
    """Put every key back, NOT VALID first, then validated. Returns `table.constraint` of those that stay NOT VALID."""
    with pg_errors("put the foreign keys back"):
        if not await conn.fetchval("select to_regclass('_stepflow.lifted') is not null"):
            return []
        rows = await conn.fetch("select * from _stepflow.lifted where run = $1 and not back order by tb, name", run_id)
        for row in rows:
            await _put_back(conn, run_id, row)
        done = await conn.fetch("select tb_schema, tb, name, definition from _stepflow.lifted where run = $1", run_id)
        return [f"{r['tb']}.{r['name']}" for r in done if not await _valid(conn, r)]


async def _put_back(conn: asyncpg.Connection, run_id: str, row: asyncpg.Record) -> None:
    definition = row["definition"].removesuffix(" NOT VALID")

    async def on(conn: asyncpg.Connection) -> None:
        await conn.execute(
            f"alter table {pg_name(row['tb_schema'], row['tb'])} add constraint {pg_ident(row['name'])} {definition} not valid"
        )
        await conn.execute(
            "update _stepflow.lifted set back = true where run = $1 and tb_schema = $2 and tb = $3 and name = $4",
            run_id, row["tb_schema"], row["tb"], row["name"],
        )  # fmt: skip

    await in_tries(conn, [pg_name(row["tb_schema"], row["tb"])], on, wait=LOCK_SECONDS)


async def _valid(conn: asyncpg.Connection, row: asyncpg.Record) -> bool:
    """Validate unless it was NOT VALID when it was taken off. Orphans leave it NOT VALID."""
    import asyncpg

    if row["definition"].endswith(" NOT VALID"):
        return True
    try:
        await conn.execute(
            f"alter table {pg_name(row['tb_schema'], row['tb'])} validate constraint {pg_ident(row['name'])}"
        )
    except asyncpg.ForeignKeyViolationError:
        return False
    return True

"""The PostgreSQL side of a benchmark: a scratch schema with copies of the tables it uses, never the operator's own tables."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

PREFIX = "_stepflow_bench_"
TEXTS = "texts"
_LOCK_CLASS = 1_398_034_246
"""First key of the advisory locks by which a schema in use is known; any constant that is ours."""
_SETTINGS = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_connections")
_FILES = "pg_catalog.to_tsvector('simple', body)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSchema:
    """The scratch schema: `target` has it as its schema, so that tables need no qualified names."""

    target: Target
    connection: asyncpg.Connection
    name: str

    async def load(self, table: str, copy: Mapping[str, Any], rows: AsyncIterator[Sequence[Sequence[Any]]]) -> None:
        """Make a table of plain types and fill it; its columns are c0, c1, …

        Args:
            copy: columns, types, key and indexes, from the SQLite side.
            rows: portions of it.
        """
        types = copy["types"]
        columns = [f"c{at}" for at in range(len(types))]
        with pg_errors("make the benchmark's tables", self.target):
            defined = ", ".join(f"{c} {_defined(t)}" for c, t in zip(columns, types, strict=True))
            await self.connection.execute(f"create table {pg_name(self.name, table)} ({defined})")
            async for portion in rows:
                records = [converted(row, types) for row in portion]
                await self.connection.copy_records_to_table(
                    table, schema_name=self.name, columns=columns, records=records
                )
            await self._index(table, copy)
            await self.connection.execute(f"vacuum analyze {pg_name(self.name, table)}")

    async def _index(self, table: str, copy: Mapping[str, Any]) -> None:
        place = pg_name(self.name, table)
        await self.connection.execute(f"alter table {place} add primary key ({_columns(copy['key'])})")
        for index in copy["indexes"]:
            unique = "unique " if index["unique"] else ""
            await self.connection.execute(f"create {unique}index on {place} ({_columns(index['columns'])})")

    async def load_texts(self, rows: AsyncIterator[Sequence[Sequence[Any]]]) -> None:
        """The table of the full-text search: a stored tsvector with its GIN index."""
        place = pg_name(self.name, TEXTS)
        with pg_errors("make the benchmark's tables", self.target):
            await self.connection.execute(
                f"create table {place} (id bigint primary key, body text, words tsvector generated always as ({_FILES}) stored)"
            )
            async for portion in rows:
                records = [converted(row, ("bigint", "text")) for row in portion]
                await self.connection.copy_records_to_table(
                    TEXTS, schema_name=self.name, columns=["id", "body"], records=records
                )
            await self.connection.execute(f"create index on {place} using gin (words)")
            await self.connection.execute(f"vacuum analyze {place}")

    async def count(self, sql: str) -> int:
        """One number."""
        with pg_errors("count the benchmark's rows", self.target):
            return int(await self.connection.fetchval(sql))

    async def settings(self) -> dict[str, str]:
        """What of the server's settings decides how fast it writes."""
        with pg_errors("read the target's settings", self.target):
            found = await self.connection.fetch(
                "select name, setting, coalesce(unit, '') as unit from pg_settings where name = any($1::text[])",
                list(_SETTINGS),
            )
        return {row["name"]: row["setting"] + (f" × {row['unit']}" if row["unit"] else "") for row in found}


@asynccontextmanager
async def bench_schema(target: Target) -> AsyncIterator[BenchSchema]:
    """A new schema in the target that is dropped afterwards; those that a killed benchmark left are dropped first.

    Raises:
        Refused: `benchmark_schema`: the user may not create a schema.
        TargetConnectionError: no connection.
    """
    connection = await target.connect()
    name = PREFIX + secrets.token_hex(6)
    try:
        await clear_abandoned(target, connection)
        await _create(target, connection, name)
        try:
            yield BenchSchema(target=replace(target, schema=name), connection=connection, name=name)
        finally:
            await drop_schema(replace(target, schema=name), connection)
    finally:
        await connection.close()


async def _create(target: Target, connection: asyncpg.Connection, name: str) -> None:
    with pg_errors("make the benchmark's schema", target):
        allowed = await connection.fetchval("select has_database_privilege(current_database(), 'create')")
        if not allowed:
            raise Refused(
                f"{target.user} may not create a schema in {target.database}, so PostgreSQL can't be measured.",
                hint=f"grant create on database {pg_ident(target.database)} to {pg_ident(target.user)}",
                code="benchmark_schema",
            )
        await connection.execute("select pg_advisory_lock($1, hashtext($2))", _LOCK_CLASS, name)
        await connection.execute(f"create schema {pg_ident(name)}")


async def drop_schema(target: Target, connection: asyncpg.Connection | None = None) -> None:
    """Drop the scratch schema that is the target's: over this connection, or over a new one where it is lost or there is none."""
    own = None
    if connection is None or connection.is_closed():
        own = connection = await target.connect()
    try:
        with pg_errors("drop the benchmark's schema", target):
            await connection.execute(f"drop schema if exists {pg_ident(target.schema)} cascade")
    finally:
        if own is not None:
            await own.close()


async def clear_abandoned(target: Target, connection: asyncpg.Connection) -> None:
    """Drop schemas of benchmarks that were killed: nobody holds their lock, and they belong to this user."""
    with pg_errors("look for what earlier benchmarks left", target):
        rows = await connection.fetch(
            "select nspname from pg_namespace where starts_with(nspname, $1) and pg_has_role(nspowner, 'usage')", PREFIX
        )
        for row in rows:
            name = row["nspname"]
            if await connection.fetchval("select pg_try_advisory_lock($1, hashtext($2))", _LOCK_CLASS, name):
                await connection.execute(f"drop schema if exists {pg_ident(name)} cascade")
                await connection.execute("select pg_advisory_unlock($1, hashtext($2))", _LOCK_CLASS, name)


def _defined(kind: str) -> str:
    return f'{kind} collate "C"' if kind == "text" else kind  # as SQLite compares it


def _columns(places: Sequence[int]) -> str:
    return ", ".join(f"c{at}" for at in places)


def converted(row: Sequence[Any], types: Sequence[str]) -> tuple[Any, ...]:
    """A row of SQLite as these columns take it."""
    return tuple(_converted(value, kind) for value, kind in zip(row, types, strict=True))


def _converted(value: Any, kind: str) -> Any:
    if value is None or kind in ("bigint", "bytea"):
        return value
    if kind == "double precision":
        return float(value)
    return (value.hex() if isinstance(value, bytes) else str(value)).replace("\x00", " ")


def bench_shape(shape: Mapping[str, Any], *, range_rows: int, join_rows: int) -> dict[str, Any]:
    """The shape of the SQLite side for this one: the same statements, rows and keys.

    Args:
        shape: with copies, written and join; its values decoded.
        range_rows: rows of a short range.
        join_rows: rows of the child that one join reads.
    """
    copies, join = shape["copies"], shape["join"]
    types = copies[shape["written"]]["types"]
    key, child = shape["key"], copies[join["child"]]
    return {
        **{name: shape[name] for name in ("fresh", "update", "key", "words", "tables")},
        "sql": _sql(shape, range_rows, join_rows),
        "templates": [converted(row, types) for row in shape["templates"]],
        "keys": [converted(k, [types[at] for at in key]) for k in shape["keys"]],
        "join_keys": [converted(k, [child["types"][at] for at in child["key"]]) for k in shape["join_keys"]],
    }


def _sql(shape: Mapping[str, Any], range_rows: int, join_rows: int) -> dict[str, str]:
    written, key = shape["copies"][shape["written"]], shape["key"]
    table = pg_ident(f"t{shape['written']}")
    width = len(written["columns"])
    columns, named, marks = _columns(range(width)), _columns(key), _marks(len(key))
    update = f"update {table} set c{shape['update']} = $1 where {_equal(key, 2)}" if shape["update"] is not None else ""
    return {
        "insert": f"insert into {table} ({columns}) values ({_marks(width)})",
        "update": update,
        "point": f"select {columns} from {table} where {_equal(key, 1)}",
        "range": f"select {columns} from {table} where ({named}) >= ({marks}) order by {named} limit {range_rows}",
        "count": f"select count(*) from {table}",
        "join": _join_sql(shape, join_rows),
        "text": f"select id from {TEXTS} where words @@ plainto_tsquery('simple', $1) limit 20",
    }


def _join_sql(shape: Mapping[str, Any], join_rows: int) -> str:
    join = shape["join"]
    key = shape["copies"][join["child"]]["key"]
    on = " and ".join(f"p.c{theirs} = c.c{ours}" for ours, theirs in join["on"])
    groups = ", ".join(f"p.c{theirs}" for _, theirs in join["on"])
    shown = f", max(p.c{join['shown']})" if join["shown"] is not None else ""
    linked = _columns(list(dict.fromkeys(ours for ours, _ in join["on"])))
    return (
        f"select count(*){shown}, {groups} from (select {linked} from t{join['child']}"
        f" where ({_columns(key)}) >= ({_marks(len(key))}) order by {_columns(key)} limit {join_rows}) c"
        f" join t{join['parent']} p on {on} group by {groups} order by 1 desc limit 10"
    )


def _marks(count: int) -> str:
    return ", ".join(f"${at}" for at in range(1, count + 1))


def _equal(places: Sequence[int], first: int) -> str:
    return " and ".join(f"c{at} = ${mark}" for mark, at in enumerate(places, first))

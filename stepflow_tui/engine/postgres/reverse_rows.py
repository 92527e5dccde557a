"""Rows of the target as the way back reads them, in text forms that do not depend on a session; and those it can't bring."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepflow_tui.engine.model.live import WRITER
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import pg_ident, pg_literal, pg_name
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

Key = tuple[str, ...]
"""A row's key as the target writes it: the text form of its columns, bytea as `\\x` and digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A row of PostgreSQL that SQLite can't hold: it is missing there. `table` and `column` are source names."""

    table: str
    key: Key
    column: str | None
    reason: str


async def keys_of(conn: asyncpg.Connection, table: TablePlan) -> frozenset[Key]:
    """All keys of a table."""
    forms = ", ".join(key_form(c, f"t.{pg_ident(c.target)}") for c in key_columns(table))
    rows = await conn.fetch(f"select {forms} from {pg_name(table.schema, table.name)} t")
    return frozenset(tuple(row) for row in rows)


async def rows_of(
    conn: asyncpg.Connection, table: TablePlan, keys: Sequence[Key]
) -> dict[Key, tuple[str | bytes | None, ...]]:
    """The present rows of those keys: the copied columns, bytea as bytes, everything else in its text form."""
    parts = key_columns(table)
    names = [f"k{i}" for i in range(len(parts))]
    forms = ", ".join(_form(c) for c in table.copied)
    on = " and ".join(f"t.{pg_ident(c.target)} = k.{n}::{c.type.sql}" for c, n in zip(parts, names, strict=True))
    arrays = ", ".join(f"${i + 1}::text[]" for i in range(len(parts)))
    sql = (
        f"select k.i, {forms} from unnest({arrays}) with ordinality as k({', '.join(names)}, i)"
        f" join {pg_name(table.schema, table.name)} t on {on}"
    )
    rows = await conn.fetch(sql, *([key[i] for key in keys] for i in range(len(parts))))
    return {keys[row[0] - 1]: tuple(row)[1:] for row in rows}


async def canonical(conn: asyncpg.Connection, column: ColumnPlan, texts: Sequence[str]) -> list[str | None]:
    """Texts as the column's type writes them, None for those it refuses. In the caller's transaction."""
    import asyncpg

    sql = f"select (x::{column.type.sql})::text from unnest($1::text[]) with ordinality as u(x, i) order by i"
    try:
        async with conn.transaction():
            return [row[0] for row in await conn.fetch(sql, list(texts))]
    except asyncpg.DataError:
        if len(texts) == 1:
            return [None]
    middle = len(texts) // 2
    return [*await canonical(conn, column, texts[:middle]), *await canonical(conn, column, texts[middle:])]


async def storage_classes(
    conn: asyncpg.Connection, table: TablePlan, keys: Sequence[Key]
) -> dict[tuple[Key, str], str]:
    """Storage classes that were noted for values of these rows, by key and source column."""
    width = len(table.live_key)
    names = ", ".join(f"k{i}" for i in range(width))
    arrays = ", ".join(f"${i + 2}::text[]" for i in range(width))
    rows = await conn.fetch(
        f"select k, col, class from _stepflow.class where tb = $1 and k in (select array[{names}] from unnest({arrays}) as u({names}))",
        table.source, *([key[i] for key in keys] for i in range(width)),
    )  # fmt: skip
    return {(tuple(k), col): storage for k, col, storage in rows}


async def blockers(conn: asyncpg.Connection, run: str) -> list[Blocker]:
    """The rows that stand in the way back, by table and key."""
    with pg_errors("read the rollback blockers"):
        rows = await conn.fetch("select tb, k, col, reason from _stepflow.blocker where run = $1 order by tb, k", run)
    return [Blocker(table=tb, key=tuple(k), column=col, reason=reason) for tb, k, col, reason in rows]


async def add_blockers(conn: asyncpg.Connection, run: str, found: Iterable[Blocker]) -> None:
    """Note rows; those noted before get the newest reason."""
    await conn.executemany(
        "insert into _stepflow.blocker (run, tb, k, col, reason) values ($1, $2, $3, $4, $5)"
        " on conflict (run, tb, k) do update set col = excluded.col, reason = excluded.reason",
        [(run, b.table, list(b.key), b.column, b.reason) for b in found],
    )


async def delete_rows(conn: asyncpg.Connection, table: TablePlan, keys: Sequence[Key]) -> int:
    """Delete the rows of those keys, as StepFlow: neither the log nor the gate sees it. Returns how many there were."""
    parts = key_columns(table)
    names = [f"k{i}" for i in range(len(parts))]
    on = " and ".join(f"t.{pg_ident(c.target)} = k.{n}::{c.type.sql}" for c, n in zip(parts, names, strict=True))
    arrays = ", ".join(f"${i + 1}::text[]" for i in range(len(parts)))
    sql = (
        f"delete from {pg_name(table.schema, table.name)} t using unnest({arrays}) as k({', '.join(names)}) where {on}"
    )
    async with conn.transaction():
        await conn.execute(f"set local stepflow.origin = {pg_literal(WRITER)}")
        done = await conn.execute(sql, *([key[i] for key in keys] for i in range(len(parts))))
    return int(done.split()[-1])


async def drop_blockers(conn: asyncpg.Connection, run: str, solved: Iterable[tuple[str, Key]]) -> None:
    """Take rows off the list that SQLite holds now, or that are gone."""
    await conn.executemany(
        "delete from _stepflow.blocker where run = $1 and tb = $2 and k = $3",
        [(run, tb, list(key)) for tb, key in solved],
    )


def key_columns(table: TablePlan) -> list[ColumnPlan]:
    """The columns of the key, in its order."""
    named = {c.source: c for c in table.columns}
    return [named[name] for name in table.live_key]


def is_bytea(column: ColumnPlan) -> bool:
    """Whether the target's column holds bytes."""
    return column.type.kind in (Kind.BLOB, Kind.MIXED_BYTEA) or column.type.sql.lower().strip() == "bytea"


def _form(column: ColumnPlan) -> str:
    value = f"t.{pg_ident(column.target)}"
    if is_bytea(column):
        return value
    return _text_form(column, value)


def key_form(column: ColumnPlan, value: str) -> str:
    """A column of the key as text; `value` is its SQL."""
    return f"'\\x' || encode({value}, 'hex')" if is_bytea(column) else _text_form(column, value)


def _text_form(column: ColumnPlan, value: str) -> str:
    sql = " ".join(column.type.sql.lower().split())
    if re.match(r"(char|character|bpchar)\b(?! varying)", sql):
        return f"textin(bpcharout({value}))"  # a cast would cut the blanks off that belong to the value
    if sql.startswith("money"):
        return f"{value}::numeric::text"
    return f"{value}::text"

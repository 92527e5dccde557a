"""Finds out what a benchmark can do with a database's own tables: which take writes, how they are read, what is joined.

Works on a scratch copy that belongs to the benchmark. Nothing is guessed: what is chosen was tried, and taken back.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.model.schema import SourceTable
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.bench_join import Joined, join_sql, working_joins
from stepflow_tui.engine.sqlite.bench_rows import (
    columns_of,
    counted_tables,
    is_key,
    key_of,
    listed,
    place_of,
    sampled_keys,
    usable,
)
from stepflow_tui.engine.sqlite.bench_script import encoded, fresh_row, rewritten
from stepflow_tui.engine.sqlite.catalog import read_schema

_TEMPLATES = 64
_LARGEST_NUMBER = 2**61
"""New keys are counted on from the largest one that is there."""
_DELETES = re.compile(r"\bdelete\s+from\b|\breplace\s+into\b", re.IGNORECASE)
"""Triggers that may take rows away: what was acknowledged could not be counted afterwards."""
RANGE_ROWS = 20
"""Rows of a short range."""

OWN_WRITES = "_stepflow_bench"
OWN_PARENT = "_stepflow_bench_parent"
_OWN_ROWS = 20_000
_OWN_TABLES = f"""
create table if not exists {OWN_PARENT} (id integer primary key, name text not null);
create table if not exists {OWN_WRITES} (
  id integer primary key, parent_id integer not null references {OWN_PARENT}(id), status text not null, note text, at integer);
create index if not exists {OWN_WRITES}_by_parent on {OWN_WRITES}(parent_id);
with recursive n(i) as (select 1 union all select i + 1 from n where i < {_OWN_ROWS // 10})
  insert or ignore into {OWN_PARENT} select i, 'parent ' || i from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < {_OWN_ROWS})
  insert or ignore into {OWN_WRITES} select i, 1 + i * 7 % {_OWN_ROWS // 10}, 'open', 'a row of the benchmark''s own', i from n;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A table that takes writes. `fresh`: position of a column, and the largest number in it (None: text, made longer)."""

    table: SourceTable
    rows: int
    columns: tuple[str, ...]
    key: tuple[int, ...]
    fresh: tuple[tuple[int, int | None], ...]
    update: int | None
    templates: tuple[tuple[Any, ...], ...]
    keys: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the loads will use."""

    written: Written
    joined: Joined

    @property
    def own_writes(self) -> bool:
        """Whether no table of the database took writes."""
        return self.written.table.name == OWN_WRITES

    @property
    def own_joined(self) -> bool:
        """Whether the database had no foreign key to join along."""
        return self.joined.parent.name == OWN_PARENT


def find_shape(conn: sqlite3.Connection, *, most_rows: int | None = None) -> Shape:
    """Choose the tables: the largest that fit.

    Args:
        conn: a connection to the scratch copy that may write.
        most_rows: larger tables are left out.
    """
    conn.text_factory = _text
    schema = read_schema(conn)
    counted = counted_tables(conn, schema, most_rows)
    pruned = {t.table.lower() for t in schema.triggers if _DELETES.search(t.sql)}
    written = next((w for t, rows in counted if t.name.lower() not in pruned and (w := _written(conn, t, rows))), None)
    joined = next((j for j in working_joins(conn, counted)), None)
    if written is None or joined is None:
        conn.executescript(_OWN_TABLES)
        own = {t.name: t for t in read_schema_with_own(conn)}
        written = written or _written(conn, own[OWN_WRITES], _OWN_ROWS)
        joined = joined or next(working_joins(conn, [(t, _OWN_ROWS) for t in own.values()]))
    assert written is not None  # our own table takes writes
    return Shape(written=written, joined=joined)


def read_schema_with_own(conn: sqlite3.Connection) -> list[SourceTable]:
    """The benchmark's own tables, as the catalog tells them."""
    return [t for t in read_schema(conn).tables if t.name in (OWN_WRITES, OWN_PARENT)]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _written(conn: sqlite3.Connection, table: SourceTable, rows: int) -> Written | None:
    """The table with all that writing it needs; None where it doesn't take a copy of its own rows."""
    try:
        columns = columns_of(table)
        keys = sampled_keys(conn, table, rows)
        templates = tuple(_templates(conn, table, columns, keys))
        fresh = _fresh(conn, table, columns, templates) if templates else None
        if fresh is None:
            return None
        written = Written(
            table=table, rows=rows, columns=columns, key=tuple(place_of(columns, k) for k in key_of(table)), fresh=fresh,
            update=_updated(table, columns), templates=templates, keys=keys,
        )  # fmt: skip
        return written if _takes_writes(conn, written) else None
    except (sqlite3.Error, UnicodeError, ValueError):
        return None


def _templates(
    conn: sqlite3.Connection, table: SourceTable, columns: Sequence[str], keys: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[Any, ...]]:
    statement = f"select {listed(columns)} from {lite_ident(table.name)} where {is_key(table)}"
    for key in keys[:: max(1, len(keys) // _TEMPLATES)]:
        row = conn.execute(statement, key).fetchone()
        if row is not None and usable(row):
            yield row


def _unique_sets(table: SourceTable) -> Iterator[tuple[str, ...]]:
    yield key_of(table)
    for index in table.indexes:
        if index.unique and index.origin != "pk":
            yield tuple(t.column for t in index.terms if t.column is not None)


def _fresh(
    conn: sqlite3.Connection, table: SourceTable, columns: Sequence[str], templates: Sequence[tuple[Any, ...]]
) -> tuple[tuple[int, int | None], ...] | None:
    """One column of each unique key that gets values of its own; None where no column can."""
    linked = {c.lower() for link in table.foreign_keys for c in link.columns}
    found: dict[int, int | None] = {}
    for names in _unique_sets(table):
        places = [place_of(columns, n) for n in names]
        if not places or any(at in found for at in places):
            continue  # an expression: the trial tells whether the other columns make it differ
        chosen = sorted((columns[at].lower() in linked, kind is not int, at) for at in places
                        if (kind := _kind(templates, at)) in (int, str))  # fmt: skip
        if not chosen:
            return None
        at = chosen[0][2]
        found[at] = _largest(conn, table, columns[at]) if _kind(templates, at) is int else None
        if (found[at] or 0) > _LARGEST_NUMBER:
            return None
    return tuple(sorted(found.items()))


def _kind(rows: Sequence[tuple[Any, ...]], at: int) -> type | None:
    kinds = {type(row[at]) for row in rows}
    return kinds.pop() if len(kinds) == 1 else None


def _largest(conn: sqlite3.Connection, table: SourceTable, column: str) -> int:
    name = lite_ident(column)
    [value] = conn.execute(
        f"select max({name}) from {lite_ident(table.name)} where typeof({name}) = 'integer'"
    ).fetchone()
    return max(0, int(value))


def _updated(table: SourceTable, columns: Sequence[str]) -> int | None:
    """A column that no key and, if possible, no index knows."""
    unique = {c.lower() for names in _unique_sets(table) for c in names}
    unique |= {c.lower() for link in table.foreign_keys for c in link.columns}
    indexed = {t.column.lower() for i in table.indexes for t in i.terms if t.column}
    free = [(columns[at].lower() in indexed, at) for at in range(len(columns)) if columns[at].lower() not in unique]
    return min(free)[1] if free else None


def _takes_writes(conn: sqlite3.Connection, written: Written) -> bool:
    """Two new rows of one template and a rewritten one, taken back. Triggers and CHECKs of the table have their say."""
    count = f"select count(*) from {lite_ident(written.table.name)}"
    sql, shape = write_sql(written), {"fresh": written.fresh, "update": written.update, "key": written.key}
    conn.execute("begin immediate")
    try:
        row = list(written.templates[0])
        done = [conn.execute(sql["insert"], fresh_row(shape, row, n)).rowcount for n in (1, 2)]
        if written.update is not None:
            done.append(conn.execute(sql["update"], rewritten(shape, row)).rowcount)
        return set(done) == {1} and conn.execute(count).fetchone()[0] == written.rows + 2
    finally:
        if conn.in_transaction:
            conn.execute("rollback")


def write_sql(written: Written) -> dict[str, str]:
    """The statements on that table."""
    table, row_key = written.table, is_key(written.table)
    name, columns, key = lite_ident(table.name), listed(written.columns), listed(key_of(table))
    marks = ", ".join("?" * len(key_of(table)))
    return {
        "insert": f"insert into {name} ({columns}) values ({', '.join('?' * len(written.columns))})",
        "update": ""
        if written.update is None
        else f"update {name} set {lite_ident(written.columns[written.update])} = ? where {row_key}",
        "point": f"select {columns} from {name} where {row_key}",
        "range": f"select {columns} from {name} where ({key}) >= ({marks}) order by {key} limit {RANGE_ROWS}",
        "count": f"select count(*) from {name}",
    }


def plain_shape(shape: Shape) -> dict[str, Any]:
    """The shape for the clients, JSON-ready."""
    written, joined = shape.written, shape.joined
    return {
        "sql": write_sql(written) | {"join": join_sql(joined)},
        "fresh": written.fresh, "update": written.update, "key": written.key,
        "templates": encoded(written.templates), "keys": encoded(written.keys), "join_keys": encoded(joined.keys),
        "words": [],
        "tables": {
            "writes": written.table.name, "rows": written.rows, "own_writes": shape.own_writes,
            "joined": [joined.child.name, joined.parent.name], "own_joined": shape.own_joined, "text": "",
        },
    }  # fmt: skip

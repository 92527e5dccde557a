"""Finds out what a benchmark can do with a database's own tables: which take writes, how they are read, what is joined.

Works on a scratch copy that belongs to the benchmark. Nothing is guessed: what is chosen was tried, and taken back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.model.live import OURS
from stepflow_tui.engine.model.schema import Generated, SourceForeignKey, SourceSchema, SourceTable, TableKind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.bench_script import encoded, fresh_row, rewritten
from stepflow_tui.engine.sqlite.catalog import read_schema

_LEAST_ROWS = 20
_TEMPLATES, _KEYS = 64, 1_000
_LARGEST_ROW = 64 * 1024
_LARGEST_NUMBER = 2**61
"""New keys are counted on from the largest one that is there."""
RANGE_ROWS, JOIN_ROWS = 20, 500

OWN_WRITES = "_stepflow_bench"
OWN_PARENT = "_stepflow_bench_parent"
_OWN_ROWS = 20_000
_OWN_TABLES = f"""
create table if not exists {OWN_PARENT} (id integer primary key, name text not null);
create table if not exists {OWN_WRITES} (
  id integer primary key, parent_id integer not null references {OWN_PARENT}(id), status text not null, note text, at integer);
create index if not exists {OWN_WRITES}_parent on {OWN_WRITES}(parent_id);
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
class Joined:
    """A child table with its parent, along a foreign key. `shown`: a column of the parent that the join has to fetch."""

    child: SourceTable
    parent: SourceTable
    link: SourceForeignKey
    shown: str | None
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
    counted = _counted(conn, read_schema(conn), most_rows)
    written = next((w for table, rows in counted if (w := _written(conn, table, rows))), None)
    joined = next((j for j in _joins(conn, counted)), None)
    if written is None or joined is None:
        conn.executescript(_OWN_TABLES)
        own = {t.name: t for t in read_schema_with_own(conn)}
        written = written or _written(conn, own[OWN_WRITES], _OWN_ROWS)
        joined = joined or next(_joins(conn, [(t, _OWN_ROWS) for t in own.values()]))
    assert written is not None  # our own table takes writes
    return Shape(written=written, joined=joined)


def read_schema_with_own(conn: sqlite3.Connection) -> list[SourceTable]:
    """The benchmark's own tables, as the catalog tells them."""
    return [t for t in read_schema(conn).tables if t.name in (OWN_WRITES, OWN_PARENT)]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _counted(conn: sqlite3.Connection, schema: SourceSchema, most: int | None) -> list[tuple[SourceTable, int]]:
    """Ordinary tables that can be read, the largest first."""
    found = []
    for table in schema.tables:
        if table.kind is TableKind.ORDINARY and not table.unreadable and not table.name.startswith(OURS) and key_of(table):
            try:
                rows = int(conn.execute(f"select count(*) from {lite_ident(table.name)}").fetchone()[0])
            except sqlite3.Error:
                continue  # damaged, or it needs what this library doesn't have: not a table to measure with
            if rows >= _LEAST_ROWS and (most is None or rows <= most):
                found.append((table, rows))
    return sorted(found, key=lambda t: -t[1])


def key_of(table: SourceTable) -> tuple[str, ...]:
    """What names a row: its primary key, else the rowid; () where there is neither."""
    if table.primary_key:
        return table.primary_key
    return (table.rowid_name,) if table.rowid_name else ()


def columns_of(table: SourceTable) -> tuple[str, ...]:
    """Columns that are written, the key among them."""
    stored = tuple(c.name for c in table.columns if c.generated is Generated.NO)
    return stored if table.primary_key else (*key_of(table), *stored)


def listed(names: Iterable[str]) -> str:
    """Names as SQL."""
    return ", ".join(lite_ident(n) for n in names)


def _place(columns: Sequence[str], name: str) -> int:
    folded = [c.lower() for c in columns]
    return folded.index(name.lower())


def _written(conn: sqlite3.Connection, table: SourceTable, rows: int) -> Written | None:
    """The table with all that writing it needs; None where it doesn't take a copy of its own rows."""
    try:
        columns = columns_of(table)
        keys = _sampled_keys(conn, table, rows)
        templates = tuple(_templates(conn, table, columns, keys))
        fresh = _fresh(conn, table, columns, templates) if templates else None
        if fresh is None:
            return None
        written = Written(
            table=table, rows=rows, columns=columns, key=tuple(_place(columns, k) for k in key_of(table)), fresh=fresh,
            update=_updated(table, columns), templates=templates, keys=keys,
        )  # fmt: skip
        return written if _takes_writes(conn, written) else None
    except (sqlite3.Error, UnicodeError, ValueError):
        return None


def _sampled_keys(conn: sqlite3.Connection, table: SourceTable, rows: int) -> tuple[tuple[Any, ...], ...]:
    """Keys from all over the table."""
    every = max(1, rows // _KEYS)
    cursor = conn.execute(f"select {listed(key_of(table))} from {lite_ident(table.name)}")
    return tuple(key for at, key in enumerate(cursor) if at % every == 0 and _usable(key) and None not in key)[: 2 * _KEYS]


def _templates(
    conn: sqlite3.Connection, table: SourceTable, columns: Sequence[str], keys: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[Any, ...]]:
    statement = f"select {listed(columns)} from {lite_ident(table.name)} where {_is_key(table)}"
    for key in keys[:: max(1, len(keys) // _TEMPLATES)]:
        row = conn.execute(statement, key).fetchone()
        if row is not None and _usable(row):
            yield row


def _is_key(table: SourceTable) -> str:
    return " and ".join(f"{lite_ident(k)} = ?" for k in key_of(table))


def _usable(row: Iterable[Any]) -> bool:
    """Whether the row can be bound again: its text is UTF-8, and it isn't huge."""
    size = 0
    for value in row:
        if isinstance(value, str):
            if any("\ud800" <= c <= "\udfff" for c in value):
                return False
            size += len(value)
        elif isinstance(value, bytes):
            size += len(value)
    return size <= _LARGEST_ROW


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
        places = [_place(columns, n) for n in names]
        if not places or any(at in found for at in places):
            continue  # an expression: the trial tells whether the other columns make it differ
        chosen = sorted((columns[at].lower() in linked, kind != int, at) for at in places
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
    [value] = conn.execute(f"select max({name}) from {lite_ident(table.name)} where typeof({name}) = 'integer'").fetchone()
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
    sql, shape = write_sql(written), {"fresh": written.fresh, "update": written.update, "key": written.key}
    conn.execute("begin immediate")
    try:
        row = list(written.templates[0])
        done = [conn.execute(sql["insert"], fresh_row(shape, row, n)).rowcount for n in (1, 2)]
        if written.update is not None:
            done.append(conn.execute(sql["update"], rewritten(shape, row)).rowcount)
        return set(done) == {1}
    finally:
        if conn.in_transaction:
            conn.execute("rollback")


def _joins(conn: sqlite3.Connection, counted: Sequence[tuple[SourceTable, int]]) -> Iterator[Joined]:
    """Joins along foreign keys that work, the largest child first."""
    known = {t.name.lower(): t for t, _ in counted}
    for child, rows in counted:
        for link in child.foreign_keys:
            parent = known.get(link.ref_table.lower())
            if parent is None or not link.ref_columns:
                continue
            try:
                keys = _sampled_keys(conn, child, rows)
                joined = Joined(child=child, parent=parent, link=link, shown=_shown(conn, parent), keys=keys)
                if keys and conn.execute(join_sql(joined), keys[0]).fetchone() is not None:
                    yield joined
            except (sqlite3.Error, UnicodeError):
                continue


def _shown(conn: sqlite3.Connection, parent: SourceTable) -> str | None:
    """A column beyond the parent's key, so that a join has to read the row; numbers and text only."""
    keys = {k.lower() for k in parent.primary_key}
    names = [c.name for c in parent.columns if c.generated is Generated.NO and c.name.lower() not in keys]
    for name in names:
        column = lite_ident(name)
        sample = f"select distinct typeof({column}) from (select {column} from {lite_ident(parent.name)} limit 1000)"
        if {k for (k,) in conn.execute(sample)} in ({"text"}, {"integer"}, {"real"}):
            return name
    return None


def write_sql(written: Written) -> dict[str, str]:
    """The statements on that table."""
    table, row_key = written.table, _is_key(written.table)
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


def join_sql(joined: Joined) -> str:
    """The rows of a child from one key on, with their parents, and which parents have most of them."""
    key = key_of(joined.child)
    on = " and ".join(
        f"p.{lite_ident(theirs)} = c.{lite_ident(ours)}"
        for ours, theirs in zip(joined.link.columns, joined.link.ref_columns, strict=True)
    )
    groups = ", ".join(f"p.{lite_ident(c)}" for c in joined.link.ref_columns)
    shown = f", max(p.{lite_ident(joined.shown)})" if joined.shown else ""
    return (
        f"select count(*){shown}, {groups} from (select {listed(joined.link.columns)} from {lite_ident(joined.child.name)}"
        f" where ({listed(key)}) >= ({', '.join('?' * len(key))}) order by {listed(key)} limit {JOIN_ROWS}) c"
        f" join {lite_ident(joined.parent.name)} p on {on} group by {groups} order by 1 desc limit 10"
    )


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

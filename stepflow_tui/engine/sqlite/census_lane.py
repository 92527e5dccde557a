"""How the census reads: one connection, table after table, in slices short enough for pause, abort and foreign writers.

Owns the walk through a table's keys and the merging of aggregates over slices; knows nothing about types.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from stepflow_tui.engine.model.control import Control, Report
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.model.schema import SourceSchema, SourceTable, TableKind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.connect import Text, open_frozen, open_living

T = TypeVar("T")

SLICE_SECONDS = {True: 0.25, False: 0.05}
"""Aim per slice on a frozen and on a living file; the living one leaves room up to 200 ms for a slow disk."""

FIRST_ROWS = 2_000
SELECT_LIMIT = 1_500
"""Aggregates per statement: SQLite allows 2,000 result columns."""

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate expression, and how its results over two slices become one: sum, min or max."""

    sql: str
    merge: str = "sum"


@dataclass(frozen=True, slots=True)
class Span:
    """A slice: keys above `low` up to and including `high`; None is open."""

    low: Key | None = None
    high: Key | None = None


@dataclass(slots=True)
class Lane:
    """One connection and the thread pool it is used in. `rows`: how many rows the next slice of a table may have."""

    connection: sqlite3.Connection
    pool: Executor
    control: Control
    report: Report
    frozen: bool
    rows: dict[str, int] = field(default_factory=dict)

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """Run blocking work in the pool, after looking for pause and abort."""
        await self.control.checkpoint()
        return await asyncio.get_running_loop().run_in_executor(self.pool, call, *args)

    async def scan(self, table: SourceTable, aggregates: Sequence[Aggregate]) -> list[Any]:
        """The aggregates over a whole table; `count(*)` comes first."""
        wanted = [Aggregate("count(*)"), *aggregates]
        total: list[Any] = [None] * len(wanted)

        def one(span: Span) -> list[Any]:
            row: list[Any] = []
            for start in range(0, len(wanted), SELECT_LIMIT):
                part = ", ".join(a.sql for a in wanted[start : start + SELECT_LIMIT])
                row += self.connection.execute(
                    f"select {part} from {source(table)}{where(table, span)}", arguments(span)
                ).fetchone()
            return row

        async for found in self.slices(table, one):
            for i, (value, aggregate) in enumerate(zip(found, wanted, strict=True)):
                total[i] = _merge(total[i], value, aggregate.merge)
            self.report(Progress(step="census", item=table.name, done=total[0]))
        return total

    async def slices(
        self, table: SourceTable, work: Callable[[Span], T], most_rows: int | None = None
    ) -> AsyncIterator[T]:
        """`work` over every slice of a table, in key order; each slice's size follows the time the last one took."""
        keyed = bool(walk_columns(table))
        low: Key | None = None
        while True:
            rows = min(self.rows.get(table.name, FIRST_ROWS), most_rows or 2**62)
            found, high, seconds = await self.run(self._slice, table, work, low, rows if keyed else None)
            yield found
            if high is None:
                return
            low = high
            if most_rows is None or rows < most_rows:
                factor = min(2.0, max(0.25, SLICE_SECONDS[self.frozen] / max(seconds, 0.000_1)))
                self.rows[table.name] = max(100, int(rows * factor))

    def _slice(
        self, table: SourceTable, work: Callable[[Span], T], low: Key | None, rows: int | None
    ) -> tuple[T, Key | None, float]:
        started = time.perf_counter()
        high = None if rows is None else self._bound(table, low, rows)
        found = work(Span(low, high))
        return found, high, time.perf_counter() - started

    def _bound(self, table: SourceTable, low: Key | None, rows: int) -> Key | None:
        """The key `rows` rows further on; None at the end, or where a key is no text that can be bound again."""
        names = ", ".join(map(lite_ident, walk_columns(table)))
        sql = f"select {names} from {source(table)}{where(table, Span(low, None))} order by {names} limit 1 offset {rows - 1}"
        row = self.connection.execute(sql, arguments(Span(low, None))).fetchone()
        if row is None:
            return None
        try:
            return tuple(v.decode() if isinstance(v, Text) else v for v in row)
        except UnicodeDecodeError:
            return None


def walk_columns(table: SourceTable) -> tuple[str, ...]:
    """The key a table can be cut by; empty: it is read in one piece."""
    if table.kind is not TableKind.ORDINARY:
        return ()
    if not table.without_rowid:
        name = table.rowid_name or table.rowid_alias
        return (name,) if name else ()
    # The key's own order is needed; descending and unknown collations have another one.
    key = next((i for i in table.indexes if i.origin == "pk"), None)
    collations = [t.collation for t in key.terms] if key else [table.column(n).collation for n in table.primary_key]
    if key and any(t.desc for t in key.terms):
        return ()
    return table.primary_key if all(c.upper() in _BUILT_IN for c in collations) else ()


_BUILT_IN = frozenset({"BINARY", "NOCASE", "RTRIM"})


def source(table: SourceTable) -> str:
    """The FROM item. Table rows are counted, never an index that may disagree with them."""
    return lite_ident(table.name) if table.kind is TableKind.VIRTUAL else f"{lite_ident(table.name)} not indexed"


def where(table: SourceTable, span: Span) -> str:
    """The WHERE clause of a slice, with `?` for its bounds."""
    columns = walk_columns(table)
    names = ", ".join(map(lite_ident, columns))
    marks = ", ".join("?" for _ in columns)
    if len(columns) > 1:
        names, marks = f"({names})", f"({marks})"
    parts = [f"{names}{op}{marks}" for op, bound in ((">", span.low), ("<=", span.high)) if bound is not None]
    return " where " + " and ".join(parts) if parts else ""


def arguments(span: Span) -> tuple[Any, ...]:
    """The values of `where`'s question marks."""
    return (span.low or ()) + (span.high or ())


def connect(path: str, schema: SourceSchema, *, frozen: bool, immutable: bool = False) -> sqlite3.Connection:
    """A connection for a lane. Collations of the application's own are named, so that statements can be prepared.

    Their order is not the application's; nothing here depends on it, and no text is compared with them.
    """
    if frozen:
        connection = open_frozen(path, exact_rows=True)
    else:
        connection = open_living(path, exact_rows=True, immutable=immutable)
    if connection.execute("pragma writable_schema").fetchone()[0]:
        _read_whole_schema(connection)
    unknown = {c.collation for t in schema.tables for c in t.columns}
    unknown |= {term.collation for t in schema.tables for i in t.indexes for term in i.terms}
    for name in unknown:
        if name.upper() not in _BUILT_IN:
            connection.create_collation(name, _any_order)
    return connection


def _read_whole_schema(connection: sqlite3.Connection) -> None:
    """Where SQLite stepped over entries because functions in them aren't trusted, read them after all.

    It gives NULL for every value of such a generated column (the JSON functions of SQLite 3.40), silently. Only functions that
    are built in can be called here: the connection registers none and loads no extension.
    """
    connection.execute("pragma trusted_schema=1")
    connection.execute("pragma writable_schema=reset")
    try:
        connection.execute("select 1 from sqlite_schema limit 1").fetchall()
    except sqlite3.DatabaseError:  # entries that can't be parsed at all stay left out
        connection.execute("pragma writable_schema=1")
        with suppress(sqlite3.DatabaseError):  # the first statement still reports the entry
            connection.execute("select 1 from sqlite_schema limit 1").fetchall()


def _any_order(left: str, right: str) -> int:
    return (left > right) - (left < right)


def _merge(one: Any, other: Any, merge: str) -> Any:
    if one is None or other is None:
        return other if one is None else one
    if merge == "sum":
        return one + other
    return min(one, other, key=_order) if merge == "min" else max(one, other, key=_order)


def _order(value: Any) -> tuple[int, Any]:
    """SQLite's order of storage classes: numbers, texts, blobs."""
    return (1, bytes(value)) if isinstance(value, Text) else (2, value) if isinstance(value, bytes) else (0, value)

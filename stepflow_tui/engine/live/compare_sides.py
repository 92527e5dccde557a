"""Reading the rows of one live table at a common point: by ranges of its key, by keys, and in each side's own order.

Shares no reader and no converter with the copy and the tail.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, TypeVar, cast

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.live.compare_places import Form, Place, Row, bound, candidates, order_of, ordinary, size_of
from stepflow_tui.engine.model.live import LOG
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import lite_ident, pg_ident, pg_name
from stepflow_tui.engine.verify.forms import base_type, read
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import KeyValue
from stepflow_tui.engine.verify.naming import Found
from stepflow_tui.engine.verify.printed import target_text
from stepflow_tui.engine.verify.sides import SourceRows

if TYPE_CHECKING:
    import asyncpg

__all__ = ["SLICE_BYTES", "Form", "OddKey", "Place", "Slice", "TableSides", "check_log", "in_thread"]

T = TypeVar("T")
SLICE_BYTES = 4 << 20
"""A slice of the source ends after so many bytes: a larger row stands alone."""
_LOOKUPS = 500


class OddKey(Exception):
    """A key of a storage class that the other side sorts elsewhere: the table has to be compared without ranges."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Source rows in order. `last` is the place to go on from, None at the end of the table; `size` in bytes."""

    rows: list[Row]
    last: Place | None
    size: int = 0


async def in_thread(conn: sqlite3.Connection, work: Callable[[], T]) -> T:
    """Run a read in a thread; a cancelled one is interrupted and waited for, so that nobody closes the snapshot under it."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError as cancelled:
        conn.interrupt()
        await asyncio.wait([task])
        if not task.cancelled():
            cancelled.__cause__ = task.exception()  # what nobody asks for, asyncio writes to the engine's log
        raise


class TableSides:
    """SQL and decoding of one table.

    Args:
        job: what is verified; `source` is the living file.
        table: its plan, with `live_key`.
        columns: the compared columns, the key's first.
    """

    def __init__(self, job: VerifyJob, table: TablePlan, columns: Sequence[ColumnPlan]) -> None:
        self.table = table
        self.columns = tuple(columns)
        self.width = len(table.live_key)
        self.key_columns = self.columns[: self.width]
        self.order = order_of(job, table, self.key_columns)
        self._reader = SourceRows(job, self.columns)
        self._log_columns = [replace(c, source=f"k{n}") for n, c in enumerate(self.key_columns, 1)]
        self._log = SourceRows(job, self._log_columns)
        self._from = lite_ident(table.source)
        self._rowid = table.rowid_alias or table.rowid_name if not table.without_rowid else None
        self._sized = tuple(n for n, c in enumerate(self.columns) if c.type.kind not in (Kind.REAL, Kind.BOOLEAN))
        self._name = pg_name(table.schema, table.name)
        self._columns = ",".join(f"t.{pg_ident(c.target)}" for c in self.columns)
        self._values = ",".join(read(c).value for c in self.columns)
        self._pg_keys = tuple(pg_ident(c.target) for c in self.key_columns)
        self._types = tuple(base_type(c.type.sql) for c in self.key_columns)

    # ---- source

    def range_slice(self, conn: sqlite3.Connection, lo: KeyValue | None, rows: int, seconds: float) -> Slice:
        """The next rows in the common order. Raises OddKey."""
        assert self.order is not None
        sql = (
            f"select {self._reader.select} from {self._from} where {self.order.lite_range(lo, None)}"
            f" order by {','.join(self.order.lite)} limit {rows}"
        )
        found, size, ended = self._fetch(conn, sql, (), rows, seconds)
        if any(not self._sorts_alike(row) for row in found):
            raise OddKey
        return Slice(found, None if ended else found[-1][: self.width], size)

    def own_slice(self, conn: sqlite3.Connection, after: Place | None, rows: int, seconds: float) -> Slice:
        """The next rows in the source's own order: by rowid, else by the primary key in its own collation."""
        if self._rowid is not None:
            return self._rowid_slice(conn, after, rows, seconds)
        names = [lite_ident(c.source) for c in self.key_columns]
        marks, values = bound(after) if after is not None else ([], [])
        where = f"where ({','.join(names)}) > ({','.join(marks)})" if after is not None else ""
        sql = f"select {self._reader.select} from {self._from} {where} order by {','.join(names)} limit {rows}"
        found, size, ended = self._fetch(conn, sql, values, rows, seconds)
        return Slice(found, None if ended else found[-1][: self.width], size)

    def _rowid_slice(self, conn: sqlite3.Connection, after: Place | None, rows: int, seconds: float) -> Slice:
        x = lite_ident(cast(str, self._rowid))
        where, values = (f"where {x} > ?", list(after)) if after is not None else ("", [])
        sql = f"select {x},{self._reader.select} from {self._from} {where} order by {x} limit {rows}"
        last: list[int] = []
        found, size, ended = self._fetch(conn, sql, values, rows, seconds, first=last)
        return Slice(found, None if ended else (last[0],), size)

    def _fetch(
        self,
        conn: sqlite3.Connection,
        sql: str,
        values: Sequence[Any],
        rows: int,
        seconds: float,
        first: list[int] | None = None,
    ) -> tuple[list[Row], int, bool]:
        """Rows until there are enough, by number, bytes or time; their bytes, and whether the table ended before that."""
        until = time.monotonic() + seconds
        raw: list[tuple[Any, ...]] = []
        held, ended = 0, True
        cursor = conn.execute(sql, values)
        try:
            for row in cursor:
                size = size_of(row)
                if raw and held + size > SLICE_BYTES:
                    ended = False
                    break
                raw.append(row)
                held += size
                if held > SLICE_BYTES or len(raw) >= rows or time.monotonic() > until:
                    ended = False
                    break
        finally:
            cursor.close()
        if first is not None:
            first[:] = [row[0] for row in raw[-1:]]
            raw = [row[1:] for row in raw]
        return self._reader.decode(raw), held, ended

    def by_keys(self, conn: sqlite3.Connection, keys: Iterable[Place]) -> list[Row]:
        """The rows that SQLite finds under these keys: with its collations and affinities, so perhaps others besides."""
        if (
            self.key_columns[0].source in (self.table.rowid_alias, self.table.rowid_name)
            and not self.table.without_rowid
        ):
            return self._by_rowids(conn, keys)
        names = [lite_ident(c.source) for c in self.key_columns]
        found: dict[Place, Row] = {}
        for key in keys:
            marks, values = bound(key)
            where = " and ".join(f"{n} = {m}" for n, m in zip(names, marks, strict=True))
            sql = f"select {self._reader.select} from {self._from} where {where}"
            for row in self._reader.decode(conn.execute(sql, values).fetchall()):
                found[row[: self.width]] = row
        return list(found.values())

    def _by_rowids(self, conn: sqlite3.Connection, keys: Iterable[Place]) -> list[Row]:
        """A rowid is a whole number, whatever else may have become the target's key: many are found at once."""
        numbers = list(dict.fromkeys(key[0] for key in keys if isinstance(key[0], int)))
        name, found = lite_ident(self.key_columns[0].source), []
        for start in range(0, len(numbers), _LOOKUPS):
            part = numbers[start : start + _LOOKUPS]
            sql = f"select {self._reader.select} from {self._from} where {name} in ({','.join('?' * len(part))})"
            found += self._reader.decode(conn.execute(sql, part).fetchall())
        return found

    def logged(self, conn: sqlite3.Connection, after: int, high: int) -> list[Place]:
        """The distinct keys of log entries after `after`, up to `high`."""
        names = ",".join(lite_ident(c.source) for c in self._log_columns)
        inner = f"select distinct {names} from {lite_ident(LOG)} where n > ? and n <= ? and tb = ?"
        rows = conn.execute(f"select {self._log.select} from ({inner})", (after, high, self.table.source)).fetchall()
        return self._log.decode(rows)

    def all_rows(self, conn: sqlite3.Connection) -> Iterator[list[Row]]:
        """Every row, page by page in the source's own order."""
        after: Place | None = None
        while True:
            page = self.own_slice(conn, after, 2_000, 60.0)
            yield page.rows
            if page.last is None:
                return
            after = page.last

    def _sorts_alike(self, row: Row) -> bool:
        return all(ordinary(v, c) for v, c in zip(row, self.key_columns, strict=False))

    # ---- target

    async def range_rows(
        self, conn: asyncpg.Connection, lo: KeyValue | None, hi: KeyValue | None, limit: int
    ) -> list[Found]:
        """Rows with lo < key <= hi in the common order, at most so many."""
        assert self.order is not None
        where, order = self.order.pg_range(lo, hi), ",".join(self.order.pg)
        inner = f"select {self._columns} from {self._name} t where {where} order by {order} limit {limit}"
        return _rows(await conn.fetch(f"select {self._values} from ({inner}) part"))

    async def rows_by_keys(self, conn: asyncpg.Connection, forms: Sequence[Form]) -> list[Found]:
        """The rows under these keys."""
        found: list[Found] = []
        names = [f"u.k{n}" for n in range(self.width)]
        arrays = ",".join(f"${n + 1}::text[]" for n in range(self.width))
        on = " and ".join(f"t.{k} = {n}::{t}" for k, n, t in zip(self._pg_keys, names, self._types, strict=True))
        sql = (
            f"select {self._values} from (select {self._columns} from {self._name} t join unnest({arrays}) u({','.join(n[2:] for n in names)})"
            f" on {on}) found"
        )
        for start in range(0, len(forms), _LOOKUPS):
            part = [self._texts(f) for f in forms[start : start + _LOOKUPS]]
            found += _rows(await conn.fetch(sql, *map(list, zip(*part, strict=True))))
        return found

    async def forms_of(self, conn: asyncpg.Connection, keys: Sequence[Sequence[str]]) -> list[Form]:
        """Keys in the text form that the reverse log writes, as the comparison has them; no row needs to be there."""
        names = [f"k{n}" for n in range(self.width)]
        arrays = ",".join(f"${n + 1}::text[]" for n in range(self.width))
        pairs = zip(names, self.key_columns, self._pg_keys, strict=True)
        casts = ",".join(f"u.{n}::{c.type.sql} as {k}" for n, c, k in pairs)
        values = ",".join(read(c).value for c in self.key_columns)
        sql = f"select {values} from (select {casts} from unnest({arrays}) u({','.join(names)})) part"
        return [tuple(row) for row in await conn.fetch(sql, *map(list, zip(*keys, strict=True)))]

    async def own_keys(
        self, conn: asyncpg.Connection, after: Sequence[str] | None, limit: int
    ) -> tuple[list[Form], list[str] | None]:
        """The next keys in the target's own order, and the place to go on from (None at the end)."""
        keys = ",".join(self._pg_keys)
        where = ""
        if after is not None:
            marks = ",".join(f"${n + 1}::text::{t}" for n, t in enumerate(self._types))
            where = f"where ({keys}) > ({marks})"
        texts = ",".join(f"{k}::text" for k in self._pg_keys)
        values = ",".join(read(c).value for c in self.key_columns)
        inner = f"select {keys} from {self._name} {where} order by {keys} limit {limit}"
        sql = f"select {texts},{values} from ({inner}) part"  # parallel plans are off: the order stays
        rows = [tuple(r) for r in await conn.fetch(sql, *(after or ()))]
        last = None if len(rows) < limit else list(rows[-1][: self.width])
        return [r[self.width :] for r in rows if None not in r], last

    async def keyless_rows(self, conn: asyncpg.Connection, limit: int) -> list[Found]:
        """Rows without a key: no range and no key finds them."""
        where = " or ".join(f"{k} is null" for k in self._pg_keys)
        return _rows(await conn.fetch(f"select {self._values} from {self._name} where {where} limit {limit}"))

    def _texts(self, form: Form) -> tuple[str, ...]:
        texts = (target_text(v, c) for v, c in zip(form, self.key_columns, strict=True))
        return tuple(cast(str, t) for t in texts)

    def texts(self, form: Sequence[Any]) -> tuple[str | None, ...]:
        """Key values in their forms as PostgreSQL's text."""
        return tuple(target_text(v, c) for v, c in zip(form, self.key_columns, strict=False))

    def bound_of(self, found: Found) -> KeyValue:
        """The key of a target row as ranges take it."""
        pairs = zip(found, self.key_columns, strict=False)
        return tuple(
            v.decode() if c.type.kind is Kind.TEXT and isinstance(v, bytes) else cast(Any, v) for v, c in pairs
        )

    def candidates(self, form: Form) -> list[Place]:
        """Source keys that may have become this target key."""
        return list(product(*(candidates(v, c) for v, c in zip(form, self.key_columns, strict=True))))


def check_log(conn: sqlite3.Connection, after: int, newest: int) -> None:
    """See that no entry between `after` and `newest` was pruned: numbers are given without gaps.

    Raises:
        StepFailed: `log_pruned`.
    """
    first = conn.execute(f"select min(n) from {lite_ident(LOG)} where n > ?", (after,)).fetchone()[0]
    if newest > after and first != after + 1:
        raise StepFailed(
            "The change log does not reach back to what was proven last.",
            detail=f"proven up to entry {after}, the log begins at {first or newest + 1}",
            hint="A new pass over all rows proves both sides equal; keep more of the log with `capture.keep`.",
            code="log_pruned",
        )


def _rows(found: Iterable[Any]) -> list[Found]:
    return [tuple(r) for r in found]

"""Looks at suspects row by row: source rows, their exact expected values, the target's rows, merged by key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from stepflow_tui.engine.model.config import BadValue
from stepflow_tui.engine.model.discrepancy import Scalar
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import lite_ident, pg_ident, pg_name
from stepflow_tui.engine.sqlite.connect import Text
from stepflow_tui.engine.verify.cut import Range, row_bytes
from stepflow_tui.engine.verify.expected import TYPE, Expected, Value, expected_column
from stepflow_tui.engine.verify.forms import Form, base_type, form_of, read
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import Key, KeyValue, pg_value
from stepflow_tui.engine.verify.naming import Differences
from stepflow_tui.engine.verify.sides import Sides, SourceRows

_PAGE_BYTES = 4 << 20
_PAGE_ROWS = 2_000
_KEYS = 500

SourceRow = tuple[KeyValue, tuple[Value, ...]]
TargetRow = tuple[KeyValue, tuple[Any, ...]]


async def normalise(target: Any, column: ColumnPlan, values: Sequence[Expected]) -> list[Expected]:
    """Expected texts as PostgreSQL itself writes them for the column's type.

    Cast without the type's modifier, so that the cast neither cuts nor rounds; what it refuses is right for no target.
    """
    texts = sorted({v for v in values if isinstance(v, bytes)})
    known = dict(zip(texts, await _cast(target, base_type(column.type.sql), texts), strict=True))
    return [known[v] if isinstance(v, bytes) else v for v in values]


async def _cast(target: Any, sql: str, texts: Sequence[bytes]) -> list[Expected]:
    if not texts:
        return []
    try:
        rows = await target.fetch(
            f"select convert_to((x::{sql})::text,'UTF8') from unnest($1::text[]) with ordinality u(x,n) order by n",
            [t.decode() for t in texts],
        )
        return [r[0] for r in rows]
    except Exception as error:
        if not str(getattr(error, "sqlstate", "")).startswith(("22", "23")):
            raise
    if len(texts) == 1:
        return [TYPE]
    middle = len(texts) // 2
    return [*await _cast(target, sql, texts[:middle]), *await _cast(target, sql, texts[middle:])]


async def expect(
    target: Any, columns: Sequence[ColumnPlan], rows: Sequence[Sequence[Value]], bad: BadValue
) -> list[tuple[Expected, ...]]:
    """Expected contents of source rows."""
    found: list[Sequence[Expected]] = []
    for n, column in enumerate(columns):
        values: Sequence[Expected] = expected_column([row[n] for row in rows], column, bad)
        if form_of(column) is Form.NORMAL:
            values = await normalise(target, column, values)
        found.append(values)
    return list(zip(*found, strict=True)) if found else [()] * len(rows)


class Rejected:
    """The keys of refused rows, whatever columns name them; sensitive ones by their fingerprints."""

    def __init__(self, job: VerifyJob, table: TablePlan) -> None:
        self._by_names: dict[tuple[str, ...], set[tuple[Scalar, ...]]] = {}
        self._shown = partial(job.mask.shown, table.source)
        for reject in job.rejects.get(table.source, ()):
            names = tuple(reject.key)
            key = tuple(self._shown(n, v) for n, v in reject.key.items())
            self._by_names.setdefault(names, set()).add(key)

    def __bool__(self) -> bool:
        return bool(self._by_names)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every name that occurs in a key."""
        return tuple(dict.fromkeys(n for names in self._by_names for n in names))

    def __contains__(self, row: dict[str, Scalar]) -> bool:
        return any(tuple(self._shown(n, row.get(n)) for n in names) in keys for names, keys in self._by_names.items())


class Resolver:
    """Names the differing rows of one table that has a key.

    Args:
        job, table, key: what is compared.
        columns: the compared columns.
        sides: the connections.
        differences: where they are collected.
    """

    def __init__(
        self,
        job: VerifyJob,
        table: TablePlan,
        key: Key,
        columns: Sequence[ColumnPlan],
        *,
        sides: Sides,
        differences: Differences,
    ) -> None:
        self._job = job
        self._table = table
        self._key = key
        self._columns = columns
        self._source = sides.source
        self._target = sides.target
        self._lock = sides.lock
        self._differences = differences
        self._rejected = Rejected(job, table)
        self._reader = SourceRows(job, columns)
        keys = ",".join(lite_ident(c.source) for c in key.columns)
        self._lite = f"select {keys},{self._reader.select} from {lite_ident(table.source)}"
        parts = ",".join(read(c).value for c in columns)
        self._pg = f"select {','.join(map(key_sql, key.columns))},{parts} from {pg_name(table.schema, table.name)}"
        mean, most = row_bytes(job, table)
        self._page = max(1, min(_PAGE_ROWS, int(_PAGE_BYTES / max(mean, 1))))
        if most > (16 << 20):
            self._page = min(self._page, 50)
        self.rejected_rows = 0

    async def keys(self, keys: Sequence[KeyValue]) -> bool:
        """Look at single rows; whether all are equal."""
        async with self._lock:
            before = self._count
            for start in range(0, len(keys), _KEYS):
                part = keys[start : start + _KEYS]
                ours = await asyncio.to_thread(self._source_keys, part)
                theirs = await self._target_rows(self._one_of(part))
                await self._compare(ours, theirs)
            return self._count == before

    @property
    def _count(self) -> int:
        return self._differences.rows + self.rejected_rows

    async def range(self, span: Range) -> bool:
        """Look at every row of a range, page by page; whether all are equal."""
        async with self._lock:
            before = self._count
            lo = span.lo
            size = 1 if span.large else self._page
            most = 4 * size + 100 if not span.large else 4
            while True:
                ours = await asyncio.to_thread(self._source_page, lo, span.hi, size)
                hi = ours[-1][0] if len(ours) == size else span.hi
                where = f"{self._key.pg_range(lo, hi)} order by {','.join(self._key.pg)} limit {most}"
                theirs = await self._target_rows(where)
                if len(theirs) == most:
                    hi = theirs[-1][0]
                    ours = [row for row in ours if row[0] <= hi]
                await self._compare(ours, theirs)
                if hi == span.hi:
                    return self._count == before
                lo = hi

    def _source_keys(self, keys: Sequence[KeyValue]) -> list[SourceRow]:
        where = " and ".join(f"{term}=?" for term in self._key.lite)
        sql = f"{self._lite} where {where}"
        rows: list[tuple[Any, ...]] = []
        for key in keys:
            rows += self._source.execute(sql, key).fetchall()
        return self._split(rows)

    def _source_page(self, lo: KeyValue | None, hi: KeyValue | None, size: int) -> list[SourceRow]:
        where = self._key.lite_range(lo, hi)
        rows = self._source.execute(
            f"{self._lite} where {where} order by {','.join(self._key.lite)} limit {size}"
        ).fetchall()
        return self._split(rows)

    def _split(self, rows: Iterable[tuple[Any, ...]]) -> list[SourceRow]:
        width = len(self._key.columns)
        rows = list(rows)
        values = self._reader.decode([row[width:] for row in rows])
        return [(_plain(row[:width]), value) for row, value in zip(rows, values, strict=True)]

    def _one_of(self, keys: Sequence[KeyValue]) -> str:
        literals = [[pg_value(v) for v in key] for key in keys]
        if len(self._key.pg) == 1:
            return f"{self._key.pg[0]} = any(array[{','.join(v[0] for v in literals)}])"
        rows = ",".join("(" + ",".join(v) + ")" for v in literals)
        return f"({','.join(self._key.pg)}) in ({rows})"

    async def _target_rows(self, where: str) -> list[TargetRow]:
        width = len(self._key.columns)
        found = await self._target.fetch(f"{self._pg} where {where}")
        return [(tuple(row[:width]), tuple(row[width:])) for row in (tuple(r) for r in found)]

    async def _compare(self, ours: Sequence[SourceRow], theirs: Sequence[TargetRow]) -> None:
        contents = await expect(self._target, self._columns, [values for _, values in ours], self._job.on_bad_value)
        left = dict(theirs)
        for (key, values), expected in zip(ours, contents, strict=True):
            name = self._key.names(key)
            if key in left:
                self._differences.changed(name, values, expected, left.pop(key))
            elif self._rejected and name in self._rejected:
                self.rejected_rows += 1
            else:
                self._differences.missing(name, values, expected)
        for key, found in left.items():
            self._differences.surplus(self._key.names(key), found)


def _plain(row: Sequence[Any]) -> KeyValue:
    return tuple(v.decode() if isinstance(v, Text) else v for v in row)


def key_sql(column: ColumnPlan) -> str:
    """A key column of the target, read as `KeyValue` has it."""
    name = pg_ident(column.target)
    return (
        f"{name}::int8"
        if column.type.kind is Kind.INTEGER
        else f"{name}::text"
        if column.type.kind is Kind.TEXT
        else name
    )

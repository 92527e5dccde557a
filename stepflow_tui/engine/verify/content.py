"""Rows without a common order: compared as multisets of their contents."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, cast

from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.model.discrepancy import Scalar
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.plan.quote import lite_ident, pg_literal, pg_name
from stepflow_tui.engine.verify.cut import Range, row_bytes
from stepflow_tui.engine.verify.expected import Expected, Value, Wrong
from stepflow_tui.engine.verify.forms import Form, read
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import AllColumns
from stepflow_tui.engine.verify.naming import Content, Differences, Found
from stepflow_tui.engine.verify.printed import source_scalar
from stepflow_tui.engine.verify.resolve import Rejected, expect
from stepflow_tui.engine.verify.sides import Sides, SourceRows

PREFIX = "sum:"
"""Marks a table digest as one of this module."""

BUCKETS = 256
_PASS_BYTES = 8 << 20
_PAGE_ROWS = 2_000
_MODULUS = 1 << 64

_MOST_PAIRS = 250_000
"""Row pairs looked at for likeness; beyond it, rows are named as missing and extra."""

Sums = tuple[int, int, int]
Row = tuple[dict[str, Scalar], tuple[Value, ...], Content]
"""Identity, source values, expected content."""


class Contents:
    """Compares one table as a multiset of rows.

    Args:
        job, table, columns: what is compared.
        sides: the connections.
        differences: where they are collected.
        control: looked at between pages.
    """

    def __init__(
        self,
        job: VerifyJob,
        table: TablePlan,
        columns: Sequence[ColumnPlan],
        *,
        sides: Sides,
        differences: Differences,
        control: Control,
    ) -> None:
        self._job = job
        self._table = table
        self._columns = columns
        self._sides = sides
        self._differences = differences
        self._control = control
        self._rejected = Rejected(job, table)
        self._reader = SourceRows(job, columns)
        self._quoted = tuple(read(c).text is not None for c in columns)
        # SQLite lets NULL into primary keys, any number of times: the rowid tells such rows apart
        self._rowid = table.rowid_name if table.primary_key else None
        rowid = (self._rowid,) if self._rowid else ()
        self._names = tuple(dict.fromkeys((*self._rejected.columns, *_name_columns(table), *rowid)))
        self._at = {c.source: n for n, c in enumerate(columns)}
        self._others = tuple(n for n in self._names if n not in self._at)  # the rowid
        mean, _ = row_bytes(job, table)
        self._mean = max(mean, 1.0)
        self._skipped = 0

    async def range(self, order: AllColumns, span: Range) -> bool:
        """Compare one range of an ordered table; whether both sides hold the same rows."""
        async with self._sides.lock:
            before = self._differences.rows
            sql = f"{self._select('null')} where {order.lite_range(span.lo, span.hi)}"
            rows = await asyncio.to_thread(lambda: self._sides.source.execute(sql).fetchall())
            ours = await self._rows(rows)
            self._compare(ours, await self._target_rows(order.pg_range(span.lo, span.hi)))
            return self._differences.rows == before

    async def table(self) -> tuple[tuple[int, int], tuple[str, str]]:
        """Compare the whole table; rows and digests of source and target."""
        async with self._sides.lock:
            ours = await self._source_sums()
            skipped = self._skipped  # further walks count the same rows again
            theirs = await target_sums(self._sides.target, self._table, self._columns)
            unequal = [b for b in range(BUCKETS) if ours[b] != theirs[b]]
            most = max(1, int(_PASS_BYTES / self._mean))
            for buckets in _passes(unequal, [ours[b][0] + theirs[b][0] for b in unequal], most):
                await self._compare_buckets(buckets)
            rows = (sum(s[0] for s in ours) + skipped, sum(s[0] for s in theirs))
            return rows, (sums_digest(ours), sums_digest(theirs))

    async def _source_sums(self) -> list[Sums]:
        sums = [[0, 0, 0] for _ in range(BUCKETS)]
        self._skipped = 0
        async for page in self._walk():
            await asyncio.to_thread(self._add, sums, page)
        return [(n, a % _MODULUS, b % _MODULUS) for n, a, b in sums]

    def _add(self, sums: list[list[int]], page: Sequence[Row]) -> None:
        for _, _, content in page:
            hashed = _hash(content, self._quoted)
            bucket = sums[hashed[0]]
            bucket[0] += 1
            bucket[1] += int.from_bytes(hashed[:8], "big")
            bucket[2] += int.from_bytes(hashed[8:], "big")

    async def _compare_buckets(self, buckets: Sequence[int]) -> None:
        wanted = frozenset(buckets)
        ours = [row async for page in self._walk() for row in page if _hash(row[2], self._quoted)[0] in wanted]
        numbers = ",".join(map(str, buckets))
        theirs = await self._target_rows(f"get_byte(decode(md5({_line(self._columns)}),'hex'),0) in ({numbers})")
        self._compare(ours, theirs)

    async def _walk(self) -> AsyncIterator[list[Row]]:
        """All rows in pages, the rejected ones left out; by rowid in short reads where there is one."""
        rowid = self._table.rowid_name
        page = max(1, min(_PAGE_ROWS, int((1 << 20) / self._mean)))
        last: int | None = None
        cursor: Any = None
        while True:
            await self._control.checkpoint()
            if rowid is not None:
                x = lite_ident(rowid)
                where = "" if last is None else f" where {x}>{last}"
                sql = f"{self._select(x)}{where} order by {x} limit {page}"
                rows = await asyncio.to_thread(lambda sql=sql: self._sides.source.execute(sql).fetchall())  # type: ignore[misc]
            else:
                cursor = cursor or await asyncio.to_thread(self._sides.source.execute, self._select("null"))
                rows = await asyncio.to_thread(cursor.fetchmany, page)
            yield await self._rows(rows)
            if len(rows) < page:
                return
            last = rows[-1][0]

    def _select(self, first: str) -> str:
        names = "".join(f"{lite_ident(self._real(n))}," for n in self._others)
        return f"select {first},{names}{self._reader.select} from {lite_ident(self._table.source)}"

    def _real(self, name: str) -> str:
        """The column behind a name in a key: `rowid` may be known by another name."""
        declared = {c.source for c in self._columns}
        return self._table.rowid_name or name if name == "rowid" and name not in declared else name

    async def _rows(self, rows: Sequence[tuple[Any, ...]]) -> list[Row]:
        width = 1 + len(self._others)
        values = self._reader.decode([row[width:] for row in rows])
        contents = await expect(self._sides.target, self._columns, values, self._job.on_bad_value)
        found: list[Row] = []
        for row, value, content in zip(rows, values, contents, strict=True):
            other = dict(zip(self._others, row[1:width], strict=True))
            identity = {n: source_scalar(value[self._at[n]] if n in self._at else other[n]) for n in self._names}
            if self._rejected and identity in self._rejected:
                self._skipped += 1
            else:
                found.append((identity, value, content))
        return found

    async def _target_rows(self, where: str) -> list[tuple[str, Found]]:
        parts = ",".join(read(c).value for c in self._columns)
        rows = await self._sides.target.fetch(
            f"select ctid::text,{parts} from {pg_name(self._table.schema, self._table.name)} where {where}"
        )
        return [(row[0], tuple(row)[1:]) for row in rows]

    def _compare(self, ours: Sequence[Row], theirs: Sequence[tuple[str, Found]]) -> None:
        """Match equal contents, then pair what is left by primary key, or by likeness."""
        held: dict[Found, list[str]] = defaultdict(list)
        for ctid, found in theirs:
            held[found].append(ctid)
        lacking: list[Row] = []
        for row in ours:
            places = held.get(cast(Found, row[2]))
            if places:
                places.pop()
            else:
                lacking.append(row)
        surplus = [(ctid, found) for found, places in held.items() for ctid in places]
        for row, other in self._pairs(lacking, surplus):
            identity, values, content = row
            key = self._key(identity)
            if other is None:
                self._differences.missing(key, values, content)
            else:
                place = "" if self._table.primary_key and None not in key.values() else _place(other[0])
                self._differences.changed(key, values, content, other[1], where=place)
        for ctid, found in surplus:
            self._differences.surplus({"ctid": ctid}, found, where=_place(ctid))

    def _pairs(
        self, lacking: Sequence[Row], surplus: list[tuple[str, Found]]
    ) -> list[tuple[Row, tuple[str, Found] | None]]:
        """Each lacking row with the surplus row it probably became; takes those out of `surplus`."""
        key = [n for n, c in enumerate(self._columns) if c.source in self._table.primary_key]
        by_key = {tuple(found[n] for n in key): i for i, (_, found) in enumerate(surplus)} if key else {}
        likeness = len(lacking) * len(surplus) <= _MOST_PAIRS
        taken: set[int] = set()
        pairs: list[tuple[Row, tuple[str, Found] | None]] = []
        # rows that a key names choose first; NULL in it names none
        for row in sorted(lacking, key=lambda r: None in _at(r[2], key)):
            content, wanted = row[2], _at(row[2], key)
            if key and None not in wanted:
                at = by_key.pop(cast(Found, wanted), None)
            else:
                at = _alike(content, surplus, taken) if likeness else None
            if at is not None:
                taken.add(at)
            pairs.append((row, None if at is None else surplus[at]))
        surplus[:] = [entry for i, entry in enumerate(surplus) if i not in taken]
        return pairs

    def _key(self, identity: dict[str, Scalar]) -> dict[str, Scalar]:
        key = {n: identity[n] for n in _name_columns(self._table)}
        if self._rowid and None in key.values():
            key[self._rowid] = identity[self._rowid]
        return key


def _at(content: Content, places: Sequence[int]) -> tuple[Expected, ...]:
    return tuple(content[n] for n in places)


def _alike(content: Content, surplus: Sequence[tuple[str, Found]], taken: set[int]) -> int | None:
    """The surplus row that shares most values, at least half of them."""
    best, most = None, (len(content) + 1) // 2
    for i, (_, found) in enumerate(surplus):
        same = sum(a == b for a, b in zip(content, found, strict=True))
        if i not in taken and same >= most and (best is None or same > most):
            best, most = i, same
    return best


def _place(ctid: str) -> str:
    return f"ctid={pg_literal(ctid)}::tid"


def _name_columns(table: TablePlan) -> tuple[str, ...]:
    """What names a row: its primary key, else its rowid."""
    if table.primary_key:
        return table.primary_key
    return ("rowid",) if table.rowid_name else ()


def _passes(buckets: Sequence[int], rows: Sequence[int], most: int) -> Iterable[list[int]]:
    """Buckets in groups of at most so many rows."""
    group: list[int] = []
    held = 0
    for bucket, count in zip(buckets, rows, strict=True):
        if group and held + count > most:
            yield group
            group, held = [], 0
        group.append(bucket)
        held += count
    if group:
        yield group


def _hash(content: Content, quoted: Sequence[bool]) -> bytes:
    """md5 over the row's columns as text, the same line as `_line`."""
    parts = [_part(value, text) for value, text in zip(content, quoted, strict=True)]
    return hashlib.md5(b",".join(parts), usedforsecurity=False).digest()


def _part(value: int | bytes | Wrong | None, quoted: bool) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, Wrong):
        return b"wrong"  # no line of the target has this
    if isinstance(value, int):
        return b"%d" % value
    return b'"' + value.replace(b'"', b'""') + b'"' if quoted else value.hex().encode()


def _line(columns: Sequence[ColumnPlan]) -> str:
    """A target row as one text: columns joined by commas, text quoted, NULL as n, reals and bytea in hexadecimal."""
    parts = []
    for column in columns:
        how = read(column)
        if how.text is not None:
            value = f"'\"'||replace({how.text},'\"','\"\"')||'\"'"
        else:
            value = f"({how.value})::text" if how.form is Form.INT8 else f"encode({how.value},'hex')"
        parts.append(f"coalesce({value},'n')")
    return f"array_to_string(array[{','.join(parts)}],',')"


async def target_sums(target: Any, table: TablePlan, columns: Sequence[ColumnPlan]) -> list[Sums]:
    """Per bucket of row hashes: rows, and two sums of hash halves modulo 2^64."""
    rows = await target.fetch(
        "select get_byte(decode(h,'hex'),0),count(*),"
        "sum(('x'||substr(h,1,16))::bit(64)::bigint),sum(('x'||substr(h,17))::bit(64)::bigint)"
        f" from (select md5({_line(columns)}) h from {pg_name(table.schema, table.name)}) hashed group by 1"
    )
    found = {row[0]: (row[1], int(row[2]) % _MODULUS, int(row[3]) % _MODULUS) for row in rows}
    return [found.get(bucket, (0, 0, 0)) for bucket in range(BUCKETS)]


def sums_digest(sums: Sequence[Sums]) -> str:
    """One digest over all buckets."""
    return PREFIX + hashlib.sha256(repr(list(sums)).encode()).hexdigest()

"""Both sides of a range as digests: standard library and Python conversions here, SQL aggregates there.

Shares no library, reader or converter with the copy; for a living source, a slow link, values too large for Arrow, and
as the second opinion of `comprehensive`.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from array import array
from collections.abc import Sequence
from typing import Any, cast

from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.plan.quote import lite_ident, pg_name
from stepflow_tui.engine.verify.by_value import LIMIT
from stepflow_tui.engine.verify.cut import Range
from stepflow_tui.engine.verify.expected import Expected, Value, Wrong, expected_column
from stepflow_tui.engine.verify.forms import Form, form_of, read
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import Key
from stepflow_tui.engine.verify.resolve import normalise
from stepflow_tui.engine.verify.sides import Sides, SourceRows

ROWS = 5_000
"""Rows per range: a read of well under 200 ms."""

PREFIX = "raw:"
"""Marks a range's digest as one of this module."""


class Raw:
    """Digests of ranges of one table.

    Args:
        job, table, key: what is compared.
        columns: the compared columns.
        sides: the connections.
    """

    def __init__(
        self, job: VerifyJob, table: TablePlan, key: Key, columns: Sequence[ColumnPlan], *, sides: Sides
    ) -> None:
        self._job = job
        self._table = table
        self._key = key
        self._columns = columns
        self._source = sides.source
        self._target = sides.target
        self._lock = sides.lock
        self._reader = SourceRows(job, columns)

    async def compare(self, span: Range) -> tuple[tuple[int, int], tuple[str, str]]:
        """Rows and digests of source and target; equal digests prove equal rows."""
        async with self._lock:
            return await self._compare(span)

    async def _compare(self, span: Range) -> tuple[tuple[int, int], tuple[str, str]]:
        ours, theirs = await asyncio.gather(
            asyncio.to_thread(self._expected, span),
            target_digest(self._target, self._table, self._key, self._columns, span),
        )
        rows, columns = ours
        for n, column in enumerate(self._columns):
            if form_of(column) is Form.NORMAL:
                columns[n] = await normalise(self._target, column, columns[n])
        digest = await asyncio.to_thread(self._digest, rows, columns)
        return (rows, theirs[0]), (digest, theirs[1])

    def _expected(self, span: Range) -> tuple[int, list[Sequence[Expected]]]:
        rows = self._source.execute(
            f"select {self._reader.select} from {lite_ident(self._table.source)}"
            f" where {self._key.lite_range(span.lo, span.hi)} order by {','.join(self._key.lite)}"
        ).fetchall()
        values = list(zip(*self._reader.decode(rows), strict=True)) or [()] * len(self._columns)
        bad = self._job.on_bad_value
        return len(rows), [
            expected_column(cast(Sequence[Value], v), c, bad) for c, v in zip(self._columns, values, strict=True)
        ]

    def _digest(self, rows: int, columns: Sequence[Sequence[Expected]]) -> str:
        sha = hashlib.sha256(str(rows).encode())
        for column, values in zip(self._columns, columns, strict=True):
            part = _column_digest(values, form_of(column))
            if part is None:
                return f"{PREFIX}none"
            sha.update(part)
        return PREFIX + sha.hexdigest()


async def target_digest(
    target: Any, table: TablePlan, key: Key, columns: Sequence[ColumnPlan], span: Range
) -> tuple[int, str]:
    """Rows and digest of a range of the target."""
    reads = [read(c) for c in columns]
    inner = ",".join(f"{r.text or r.value} c{n}" for n, r in enumerate(reads))
    outer = ",".join(_aggregate(f"c{n}", r.form, text=r.text is not None) for n, r in enumerate(reads))
    row = await target.fetchrow(
        f"select count(*),{outer} from (select {inner} from {pg_name(table.schema, table.name)}"
        f" where {key.pg_range(span.lo, span.hi)} order by {','.join(key.pg)} limit {LIMIT + 1}) rows_of_range"
    )
    sha = hashlib.sha256(str(row[0]).encode())
    for part in row[1:]:
        sha.update(part)
    return int(row[0]), PREFIX + sha.hexdigest()


def _aggregate(c: str, form: Form, *, text: bool) -> str:
    """Two digests in a row: where the NULLs are (and the lengths), and the values."""
    if form is Form.INT8 or form is Form.FLOAT8:
        mask = f"string_agg(case when {c} is null then '1' else '0' end,'')"
        data = f"string_agg({f'int8send({c})' if form is Form.INT8 else c},''::bytea)"
        return f"sha256(convert_to(coalesce({mask},''),'UTF8'))||sha256(coalesce({data},''::bytea))"
    lengths = f"string_agg(coalesce(octet_length({c})::text,'n'),',')"
    data = f"convert_to(string_agg({c},''),'UTF8')" if text else f"string_agg({c},''::bytea)"
    return f"sha256(convert_to(coalesce({lengths},''),'UTF8'))||sha256(coalesce({data},''::bytea))"


def _column_digest(values: Sequence[Expected], form: Form) -> bytes | None:
    """The same two digests of expected values; None where a value is right for no target."""
    classes = set(map(type, values))
    if Wrong in classes:
        return None
    whole = type(None) not in classes
    there = values if whole else [v for v in values if v is not None]
    if form is Form.INT8 or form is Form.FLOAT8:
        mask = "0" * len(values) if whole else "".join("1" if v is None else "0" for v in values)
        if form is Form.FLOAT8:
            return _two(mask, b"".join(cast(list[bytes], there)))
        try:
            numbers = array("q", cast(list[int], there))
        except OverflowError:
            return None
        if sys.byteorder == "little":
            numbers.byteswap()
        return _two(mask, numbers.tobytes())
    lengths = map(str, map(len, cast(list[bytes], there))) if whole else _lengths(values)
    return _two(",".join(lengths), b"".join(cast(list[bytes], there)))


def _lengths(values: Sequence[Expected]) -> list[str]:
    return ["n" if v is None else str(len(cast(bytes, v))) for v in values]


def _two(first: str, second: bytes) -> bytes:
    return hashlib.sha256(first.encode()).digest() + hashlib.sha256(second).digest()

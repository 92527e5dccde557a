"""Tables without a key that both sides can sort alike by all their columns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import pairwise

from stepflow_tui.engine.model.plan import ColumnPlan, CompareKind, TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.verify.cut import BYTES, Range, row_bytes
from stepflow_tui.engine.verify.forms import kind_of
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import AllColumns

ROWS = 150_000
_MOST_RANGES = 200
"""Each range may scan the whole table on both sides; beyond this, comparing multisets is cheaper."""

PREFIX = "column"
"""Marks a range's digest as one of an order by all columns, with the number of the first one."""

_SORTED_ALIKE = (
    Kind.INTEGER, Kind.BOOLEAN, Kind.DECIMAL, Kind.TEXT, Kind.BLOB, Kind.TIMESTAMP, Kind.DATE, Kind.EPOCH,
)  # fmt: skip


def order_of(job: VerifyJob, table: TablePlan, columns: Sequence[ColumnPlan]) -> AllColumns | None:
    """The order by all columns, or None where the sides would sort differently.

    Reals (two zeros), rows that were converted singly, rejected rows and UTF-16 files stay out.
    """
    if table.compare.kind is not CompareKind.ORDERED or job.utf16 or job.rejects.get(table.source) or not columns:
        return None
    for column in columns:
        facts = job.column_facts(table, column.source)
        if (
            column.type.kind not in _SORTED_ALIKE
            or kind_of(column) is not column.type.kind
            or facts.violations
            or column.generated
        ):
            return None
    cutters = [c for c in columns if c.type.kind is Kind.INTEGER and not job.column_facts(table, c.source).nulls]
    first = cutters[0] if cutters else columns[0]
    return ordered_by(table, table.columns.index(first))


def ordered_by(table: TablePlan, first: int) -> AllColumns:
    """The order by all columns that begins with the column of that number."""
    column = table.columns[first]
    return AllColumns((column, *(c for c in table.columns if c is not column)))


def order_ranges(
    connection: sqlite3.Connection, job: VerifyJob, table: TablePlan, order: AllColumns
) -> list[Range] | None:
    """Ranges over the first column; None where it can't cut the table into pieces small enough. Runs in a thread."""
    mean, most = row_bytes(job, table)
    count = max(1, min(ROWS, int(4 * BYTES / max(mean, 1))))
    rows = job.table_facts(table).rows
    if most * min(count, max(rows, 1)) > 16 * BYTES and most > BYTES:
        return None
    first = order.columns[0]
    if first.type.kind is not Kind.INTEGER or job.column_facts(table, first.source).nulls:
        total = connection.execute(f"select count(*) from {lite_ident(table.source)}").fetchone()[0]
        return [Range(0, None, None)] if total <= count else None
    found = list(_cut(connection, table, first, count))
    fits = all(n <= 2 * count for n, _ in found) and len(found) <= _MOST_RANGES
    if not fits:
        return None
    bounds: list[int | None] = [None, *(bound for _, bound in found[:-1]), None]
    return [
        Range(n, None if lo is None else (lo,), None if hi is None else (hi,))
        for n, (lo, hi) in enumerate(pairwise(bounds))
    ]


def _cut(connection: sqlite3.Connection, table: TablePlan, column: ColumnPlan, count: int) -> Iterator[tuple[int, int]]:
    """Rows and last value of each range of at least `count` rows."""
    x = lite_ident(column.source)
    held, last = 0, 0
    for value, rows in connection.execute(
        f"select {x},count(*) from {lite_ident(table.source)} group by {x} order by {x}"
    ):
        held, last = held + rows, value
        if held >= count:
            yield held, last
            held = 0
    yield held, last

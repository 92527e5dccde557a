"""Key ranges of a table, bounded by rows and bytes, cut in the source. Synchronous: runs in a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.connect import Text
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import Key, KeyValue

ROWS = 50_000
BYTES = 4 << 20
"""Aim per range: both sides of two ranges are in memory at once, and readers double their buffers while they grow."""
ALONE = 16 << 20
"""A row of this size gets a range of its own."""
_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Range:
    """Rows with lo < key <= hi; None is open. `large`: one row of `ALONE` bytes or more."""

    n: int
    lo: KeyValue | None
    hi: KeyValue | None
    large: bool = False


def row_bytes(job: VerifyJob, table: TablePlan) -> tuple[float, int]:
    """Mean and greatest bytes of a row, by what the census measured."""
    mean, most = 0.0, 0
    for column in table.columns:
        facts = job.column_facts(table, column.source)
        if column.type.kind in (Kind.INTEGER, Kind.REAL, Kind.BOOLEAN, Kind.EPOCH, Kind.DATE, Kind.TIMESTAMP):
            mean, most = mean + 12, most + 32
        else:
            mean += facts.mean_bytes + 8
            # not measured means short in the census' sample
            most += facts.max_bytes if facts.max_bytes is not None else 16 * max(64, round(facts.mean_bytes))
    return mean, most


def cut(
    connection: sqlite3.Connection, job: VerifyJob, table: TablePlan, key: Key, *, rows: int = ROWS
) -> Iterator[Range]:
    """Ranges that cover every key, in order; the first and the last are open, so that no row of the target escapes.

    Each step is a short read of its own: a living source is never held.

    Args:
        connection: the source, TEXT as `Text`.
        job: facts and file.
        table: the table.
        key: its order.
        rows: at most this many rows per range.
    """
    mean, most = row_bytes(job, table)
    count = max(1, min(rows, int(BYTES / max(mean, 1))))
    if most * count <= 2 * ALONE:
        bounds: Iterator[tuple[KeyValue, bool]] = ((b, False) for b in _walk(connection, table, key, count))
    else:
        bounds = _weigh(connection, table, key, count)
    lo: KeyValue | None = None
    n = 0
    for bound, large in bounds:
        yield Range(n, lo, bound, large)
        lo, n = bound, n + 1
    yield Range(n, lo, None)


def _plain(row: tuple[object, ...]) -> KeyValue:
    return tuple(v.decode() if isinstance(v, Text) else v for v in row)  # type: ignore[misc]


def _walk(connection: sqlite3.Connection, table: TablePlan, key: Key, count: int) -> Iterator[KeyValue]:
    """The last key of every `count` rows."""
    terms = ",".join(key.lite)
    last: KeyValue | None = None
    while True:
        row = connection.execute(
            f"select {','.join(lite_ident(c.source) for c in key.columns)} from {lite_ident(table.source)}"
            f" where {key.lite_range(last, None)} order by {terms} limit 1 offset {count - 1}"
        ).fetchone()
        if row is None:
            return
        last = _plain(row)
        yield last


def _weigh(connection: sqlite3.Connection, table: TablePlan, key: Key, count: int) -> Iterator[tuple[KeyValue, bool]]:
    """Bounds by the rows' real lengths; a row of `ALONE` bytes or more stands alone."""
    names = ",".join(lite_ident(c.source) for c in key.columns)
    lengths = "+".join(f"ifnull(length(cast({lite_ident(c.source)} as blob)),1)" for c in table.columns)
    last: KeyValue | None = None
    before: KeyValue | None = None  # the key before the current row, when the open range has rows
    held = held_rows = 0
    while True:
        page = connection.execute(
            f"select {lengths},{names} from {lite_ident(table.source)} where {key.lite_range(last, None)}"
            f" order by {','.join(key.lite)} limit {_PAGE}"
        ).fetchall()
        for size, *raw in page:
            last = _plain(tuple(raw))
            if before is not None and (held + size > BYTES or held_rows >= count or size >= ALONE):
                yield before, False
                held = held_rows = 0
            held, held_rows, before = held + size, held_rows + 1, last
            if size >= ALONE:
                yield last, True
                held, held_rows, before = 0, 0, None
        if len(page) < _PAGE:
            return

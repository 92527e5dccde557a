"""Cuts a table of the frozen file into segments. Their rows in the ledger are the truth about what is copied."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, Self

from stepflow_tui.engine.bulk.bounds import Key, key_json
from stepflow_tui.engine.bulk.spec import CopySpec, make_spec
from stepflow_tui.engine.bulk.values import BadText, decode
from stepflow_tui.engine.model.plan import ColumnFacts, TableFacts, TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.postgres import ledger
from stepflow_tui.engine.postgres.ledger import Mode
from stepflow_tui.engine.sqlite.connect import Text, open_frozen

TARGET_BYTES = 4 << 20
"""Bytes of values in a segment by the mean lengths: 100 to 200 ms on a small machine; a worker then takes 45 MB, and two of
them with the engine stay under 150 MB (8 MiB: 57 MB each, and hardly faster)."""

MAX_BATCH_BYTES = 256 << 20
"""Where the longest values could make a batch larger than this, segments are cut by their real lengths."""

ALONE_BYTES = 16 << 20
"""A row from this size is a segment of its own."""

MAX_ROWS = 250_000
SLOW_ROWS = 10_000
_LIMITED_SECONDS = 0.3
"""Under a row limit a segment holds the rows of this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Rows of one table with lo < walk key <= hi. A fast and a slow segment may cover the same keys: the terms of the
    types divide the rows between them."""

    table: str
    mode: Mode
    lo: Key | None = None
    hi: Key | None = None


def plan_segments(
    frozen: Path, table: TablePlan, facts: TableFacts, *, encoding: str, max_rows_per_second: int | None = None
) -> list[Segment]:
    """Cut one table. Reads the file (0.1-0.3 s for two million rows): call it off the event loop.

    Args:
        frozen: the file all segments are read from.
        table: its plan.
        facts: what the census counted in that very file.
        encoding: SQLite's name of the file's text encoding.
        max_rows_per_second: with a limit, segments are small enough to keep it evenly.

    Returns:
        Segments whose rows are all rows of the table, each in exactly one.

    Raises:
        sqlite3.Error: the table can't be read.
    """
    with SegmentPlanner(frozen, encoding=encoding, max_rows_per_second=max_rows_per_second) as planner:
        return planner.plan(table, facts)


class SegmentPlanner:
    """Cuts tables of one file with one connection: with a thousand tables, opening the file reads a thousand definitions.

    May be closed from another thread than the one that cuts: closing waits for it. Arguments as of `plan_segments`.
    """

    def __init__(self, frozen: Path, *, encoding: str, max_rows_per_second: int | None = None) -> None:
        self._frozen = frozen
        self._encoding = encoding
        self._limit = max_rows_per_second
        self._connection: sqlite3.Connection | None = None
        self._busy = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._busy:
            if self._connection is not None:
                self._connection.close()

    def plan(self, table: TablePlan, facts: TableFacts) -> list[Segment]:
        """The segments of one table. Raises sqlite3.Error where it can't be read."""
        with self._busy:
            if self._connection is None:
                self._connection = open_frozen(self._frozen, exact_rows=True)
            return self._plan(self._connection, table, facts)

    def _plan(self, connection: sqlite3.Connection, table: TablePlan, facts: TableFacts) -> list[Segment]:
        rows = rows_per_segment(table, facts, max_rows_per_second=self._limit)
        spec = make_spec(table, facts, encoding=self._encoding, batch_rows=rows)
        by_bytes = _by_bytes(table, facts, rows)
        cutter = _Cutter(connection, spec, _size(table, facts) if by_bytes else None)
        if spec.all_slow:
            return _ranges(spec, Mode.SLOW, cutter.bounds(min(rows, SLOW_ROWS), everything=True))
        found = _ranges(spec, Mode.FAST, cutter.bounds(rows, everything=True))
        if spec.splits and cutter.any_slow():
            found += _ranges(spec, Mode.SLOW, cutter.bounds(min(rows, SLOW_ROWS), everything=False))
        return found


def rows_per_segment(table: TablePlan, facts: TableFacts, *, max_rows_per_second: int | None = None) -> int:
    """Rows for a segment by the mean lengths; every value counts as 8 bytes at least."""
    mean = sum(max(8.0, _facts(facts, c.source).mean_bytes) + 1 for c in table.copied)
    rows = min(MAX_ROWS, int(TARGET_BYTES / max(1.0, mean)))
    if max_rows_per_second is not None:
        rows = min(rows, int(max_rows_per_second * _LIMITED_SECONDS))
    return max(1, rows)


def ledger_rows(segments: Iterable[Segment], *, first: int) -> list[ledger.Segment]:
    """Segments as rows of the ledger, numbered from `first`."""
    return [
        ledger.Segment(n=n, table=s.table, mode=s.mode, lo=key_json(s.lo), hi=key_json(s.hi))
        for n, s in enumerate(segments, start=first)
    ]


def _facts(facts: TableFacts, column: str) -> ColumnFacts:
    return facts.columns.get(column, ColumnFacts())


def _by_bytes(table: TablePlan, facts: TableFacts, rows: int) -> bool:
    longest = sum(_facts(facts, c.source).max_bytes or 0 for c in table.copied)
    return longest >= ALONE_BYTES or longest * rows > MAX_BATCH_BYTES


def _size(table: TablePlan, facts: TableFacts) -> str:
    """The bytes of a row's long values, as SQL. A blob's length needs no reading of the blob."""
    kinds = (Kind.TEXT, Kind.JSONB, Kind.BLOB, Kind.MIXED_TEXT, Kind.MIXED_BYTEA, Kind.OTHER)
    long = [lite_ident(c.source) for c in table.copied if _facts(facts, c.source).max_bytes and c.type.kind in kinds]
    return _sum([f"iif(typeof({x})='blob',length({x}),ifnull(length(cast({x} as blob)),0))" for x in long] or ["0"])


def _sum(parts: list[str]) -> str:
    """A balanced tree: an expression may be 1,000 levels deep at most."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({_sum(parts[:middle])}+{_sum(parts[middle:])})"


def _ranges(spec: CopySpec, mode: Mode, bounds: list[Key]) -> list[Segment]:
    """Between the bounds; the first has no lower and the last no upper one, so no row can lie outside."""
    edges = [None, *bounds, None]
    return [Segment(table=spec.table, mode=mode, lo=lo, hi=hi) for lo, hi in pairwise(edges)]


class _Cutter:
    """Finds the upper bounds of segments in one table."""

    def __init__(self, connection: sqlite3.Connection, spec: CopySpec, size: str | None) -> None:
        self._connection = connection
        self._spec = spec
        self._size = size
        self._key = ",".join(lite_ident(c) for c in spec.walk)

    def any_slow(self) -> bool:
        """Whether any row breaks the terms."""
        return self._connection.execute(f"select 1 {self._spec.slow_from(None, None)} limit 1").fetchone() is not None

    def bounds(self, rows: int, *, everything: bool) -> list[Key]:
        """Bounds that leave at most `rows` rows between them, of all rows or of the slow ones only."""
        if not self._spec.walk:
            return []
        if everything and self._size is None and self._spec.walk_is_rowid:
            return list(self._walk(rows))
        source = f"from {lite_ident(self._spec.table)}" if everything else self._spec.slow_from(None, None)
        return self._scan(source, rows)

    def _walk(self, rows: int) -> Iterator[Key]:
        """Step over `rows` rows at a time: faster than looking at each."""
        start = f"select {self._key} from {lite_ident(self._spec.table)}"
        step = f"order by {self._key} limit 1 offset {rows - 1}"
        found = self._connection.execute(f"{start} {step}").fetchone()
        last = self._connection.execute(f"{start} order by {self._key} desc limit 1").fetchone()
        while found is not None and found != last:
            yield found
            found = self._connection.execute(f"{start} where {self._key}>? {step}", found).fetchone()

    def _scan(self, source: str, rows: int) -> list[Key]:
        """Look at every key, and at the sizes where they matter."""
        cursor = self._connection.execute(f"select {self._size or 0},{self._columns()} {source} order by {self._key}")
        bounds: list[Key] = []
        count = size = 0
        previous: Key | None = None
        for length, *raw in cursor:
            key = self._usable(raw)
            full = count >= rows or (self._size is not None and count and size + length > TARGET_BYTES)
            if full and previous is not None:
                bounds.append(previous)
                count = size = 0
            count += 1
            size += length
            previous = key
            if self._size is not None and length >= ALONE_BYTES:
                size = TARGET_BYTES
        return bounds

    def _columns(self) -> str:
        """The key, each column with its class, TEXT as stored: in UTF-16 files reading it as UTF-8 may change it."""
        quoted = [lite_ident(c) for c in self._spec.walk]
        return ",".join(f"iif(typeof({x})='text',cast({x} as blob),{x}),typeof({x})" for x in quoted)

    def _usable(self, raw: list[Any]) -> Key | None:
        """A key that may be written into SQL and read back as the same value; reals and odd text never are bounds."""
        key = []
        for value, kind in zip(raw[::2], raw[1::2], strict=True):
            if kind == Text(b"text"):
                text = decode(bytes(value), self._spec.encoding)
                if isinstance(text, BadText) or "\x00" in text:
                    return None
                key.append(text)
            elif kind in (Text(b"integer"), Text(b"blob")):
                key.append(value)
            else:
                return None
        return tuple(key)

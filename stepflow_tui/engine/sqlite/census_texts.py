"""What SQL can't tell about texts: which don't decode, and whether a mixed column stays distinct when rendered as text."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from stepflow_tui.engine.model.schema import SourceTable, TableKind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.census_lane import Lane, Span, arguments, source, walk_columns, where

CONCAT_ROWS = 20_000
CONCAT_BYTES = 4 * 1024 * 1024
KEYS_KEPT = 100_000
"""Keys of rows with undecodable text that are kept; beyond, segments are refused by PostgreSQL and go the slow way."""


@dataclass(slots=True)
class BadTexts:
    """Undecodable texts: counts by column, and the rows' integer keys (none where a table has no such key)."""

    counts: dict[str, int] = field(default_factory=dict)
    keys: set[int] = field(default_factory=set)


async def find_bad_texts(lane: Lane, table: SourceTable, columns: dict[str, float]) -> BadTexts:
    """Look for texts that are no valid UTF-8.

    Args:
        columns: names, each with the mean bytes of its values.
    """
    found = BadTexts()
    if not columns:
        return found
    rows = max(1, min(CONCAT_ROWS, int(CONCAT_BYTES / max(1.0, sum(columns.values())))))
    work = partial(_look, lane.connection, table, tuple(columns), found)
    async for _ in lane.slices(table, work, most_rows=rows):
        pass
    return found


def _look(
    connection: sqlite3.Connection, table: SourceTable, columns: tuple[str, ...], found: BadTexts, span: Span
) -> None:
    suspects = columns if not walk_columns(table) else _suspects(connection, table, columns, span)
    if suspects:
        _name_rows(connection, table, suspects, found, span)


def _suspects(
    connection: sqlite3.Connection, table: SourceTable, columns: tuple[str, ...], span: Span
) -> tuple[str, ...]:
    """Columns with an undecodable text in the slice. The separator keeps two halves from joining to a valid character."""
    joined = ", ".join(f"group_concat({lite_ident(c)}, char(10))" for c in columns)
    try:
        row = connection.execute(
            f"select {joined} from {source(table)}{where(table, span)}", arguments(span)
        ).fetchone()
    except (sqlite3.DataError, MemoryError):  # longer together than SQLite's or this machine's limit: one by one
        return columns
    return tuple(c for c, text in zip(columns, row, strict=True) if text is not None and not _decodes(text))


def _name_rows(
    connection: sqlite3.Connection, table: SourceTable, columns: tuple[str, ...], found: BadTexts, span: Span
) -> None:
    key = _integer_key(table)
    names = [
        lite_ident(key) if key else "null",
        *(f"iif(typeof({x})='text',{x},null)" for x in map(lite_ident, columns)),
    ]
    sql = f"select {', '.join(names)} from {source(table)}{where(table, span)}"
    for number, *texts in connection.execute(sql, arguments(span)):
        for column, text in zip(columns, texts, strict=True):
            if text is not None and not _decodes(text):
                found.counts[column] = found.counts.get(column, 0) + 1
                if key and isinstance(number, int) and len(found.keys) < KEYS_KEPT:
                    found.keys.add(number)


def _integer_key(table: SourceTable) -> str | None:
    if table.kind is TableKind.VIRTUAL:
        return table.rowid_name
    columns = walk_columns(table)
    return columns[0] if len(columns) == 1 else None


def _decodes(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


async def renders_distinct(lane: Lane, table: SourceTable, column: str) -> bool:
    """Whether no text of a column equals the rendering of one of its numbers (5 beside '5').

    Numbers among themselves always differ: integers have no point, and `repr` of a real reads back as that very real.
    Candidates stand in a scratch database of SQLite's own, which spills to disk, so memory stays bounded.
    """
    x = lite_ident(column)
    texts = f"typeof({x})='text' and length({x})<25 and ({x} collate binary) glob '[-0-9i]*'"
    numbers = f"typeof({x}) in ('integer','real')"
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as scratch:
        scratch.execute("create table t(v text primary key) without rowid")
        keep = partial(_keep_texts, scratch, partial(_batches, lane.connection, table, x, texts))
        candidates = 0
        async for kept in lane.slices(table, keep, most_rows=CONCAT_ROWS):
            candidates += kept
        if not candidates:
            return True
        meet = partial(_meets, scratch, partial(_batches, lane.connection, table, x, numbers))
        async for met in lane.slices(table, meet, most_rows=CONCAT_ROWS):
            if met:
                return False
    return True


Batches = Callable[[Span], Iterator[list[object]]]


def _batches(
    connection: sqlite3.Connection, table: SourceTable, x: str, condition: str, span: Span
) -> Iterator[list[object]]:
    bounds = where(table, span)
    sql = f"select {x} from {source(table)}{bounds}{' and ' if bounds else ' where '}{condition}"
    cursor = connection.execute(sql, arguments(span))
    while rows := cursor.fetchmany(500):
        yield [row[0] for row in rows]


def _keep_texts(scratch: sqlite3.Connection, batches: Batches, span: Span) -> int:
    kept = 0
    scratch.execute("begin")
    for batch in batches(span):
        candidates = [(shown,) for shown in map(_canonical, batch) if shown is not None]
        scratch.executemany("insert or ignore into t values(?)", candidates)
        kept += len(candidates)
    scratch.execute("commit")
    return kept


def _meets(scratch: sqlite3.Connection, batches: Batches, span: Span) -> bool:
    for batch in batches(span):
        marks = ",".join("?" * len(batch))
        sql = f"select exists(select 1 from t where v in ({marks}))"
        if scratch.execute(sql, [repr(n) for n in batch]).fetchone()[0]:
            return True
    return False


def _canonical(text: object) -> str | None:
    """The text if it is what an integer or a real would be rendered as, else None."""
    try:
        shown = bytes(text).decode("ascii") if isinstance(text, bytes) else ""
        return shown if shown and (_as_integer(shown) or repr(float(shown)) == shown) else None
    except ValueError:
        return None


def _as_integer(shown: str) -> bool:
    try:
        return str(int(shown)) == shown
    except ValueError:
        return False

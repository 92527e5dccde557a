"""One segment value by value: converted exactly in Python, sent as CSV text, which every type of the target takes.

Rows that can't be held exactly, and rows the server refuses, are recorded as rejects in the segment's own transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepflow_tui.engine.bulk.bounds import key_from_json
from stepflow_tui.engine.bulk.exact import Encode, Field, encoder, text_of
from stepflow_tui.engine.bulk.failures import refused_column, refuses_rows
from stepflow_tui.engine.bulk.lines import CsvLine, csv_line, pieces, target_field
from stepflow_tui.engine.bulk.outcome import REPLACED, SegmentResult, TableStopped, WorkOrder
from stepflow_tui.engine.bulk.reader import Row, read_rows
from stepflow_tui.engine.bulk.session import Session
from stepflow_tui.engine.bulk.spec import CopySpec
from stepflow_tui.engine.bulk.values import BadText, Refusal, Value, printable_bytes, scalar
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.discrepancy import Reject
from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.postgres.errors import discreet, pg_errors
from stepflow_tui.engine.postgres.ledger import add_rejects, finish_segment

if TYPE_CHECKING:
    import asyncpg

BLOCK_ROWS = 5_000
BLOCK_BYTES = 4 << 20
VALUE_LIMIT = 64 << 20
"""Bytes of a refused value that are kept beside its reason; the backup holds the rest."""


@dataclass(slots=True)
class _Tally:
    """What became of the rows so far; `listed` are rejects and replaced values."""

    rows: int = 0
    rejected: int = 0
    refused: int = 0
    listed: list[Reject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Line:
    """A converted row, ready to be sent, with what is needed to name it."""

    csv: CsvLine
    row: Row


def copy_slow(session: Session, order: WorkOrder, *, resent: bool) -> SegmentResult:
    """Copy one segment the slow way, in one transaction with its rejects and its ledger row.

    Args:
        resent: a fast segment whose rows that way refused.

    Raises:
        TableStopped: the server refuses more rows than can be chance, or the rows can't be read.
        Held: the segment is not open in this epoch.
        StepFlowError: by cause.
    """
    return session.wait(_copy(session, order, resent=resent))


async def _copy(session: Session, order: WorkOrder, *, resent: bool) -> SegmentResult:
    spec, segment = order.spec, order.segment
    connection = await session.target(order.target, order.run)
    tally = _Tally()
    # rows that broke the terms of a type the operator chose are rejects, however many; the others speak against the plan
    writer = _Writer(connection, order, tally, limit=order.refusal_limit if resent else None)
    with pg_errors(f"copy {spec.table}", order.target, spec.hidden):
        async with connection.transaction():
            rows = read_rows(
                session.file(order.frozen), spec, key_from_json(segment.lo), key_from_json(segment.hi), resent=resent
            )
            for block in _blocks(_converted(_readable(rows, spec), spec, tally)):
                await writer.write(block)
                await writer.list_refused()
            await finish_segment(
                connection, order.run, segment.n, order.epoch, rows=tally.rows, rejected=tally.rejected
            )
            failpoint("segment_ingested")
    failpoint("segment_committed")
    return SegmentResult(rows=tally.rows, rejected=tally.rejected, refused=tally.refused)


def _readable(rows: Iterator[Row], spec: CopySpec) -> Iterator[Row]:
    try:
        yield from rows
    except sqlite3.Error as error:
        raise TableStopped(
            f"The rows of {spec.table} can't be read.",
            detail=f"SQLite: {error}",
            hint="Leave the table out with `tables.exclude`, or repair it in the source (`.recover`).",
            code="table_unreadable",
        ) from None


def _converted(rows: Iterable[Row], spec: CopySpec, tally: _Tally) -> Iterator[_Line]:
    """Rows whose every value the target can hold; the others are listed."""
    encoders = [encoder(column, replace=spec.replace) for column in spec.columns]
    for row in rows:
        line = _convert(row, spec, encoders, tally)
        if line is not None:
            yield line


def _convert(row: Row, spec: CopySpec, encoders: list[Encode], tally: _Tally) -> _Line | None:
    fields: list[Field | None] = []
    replaced = []
    for column, encode, value in zip(spec.columns, encoders, row.values, strict=True):
        try:
            fields.append(target_field(column, encode, value))
        except Refusal as refusal:
            tally.rejected += 1
            tally.listed.append(_reject(spec, row, column.source, refusal.reason, value))
            return None
        reason = _replacement(column, value) if spec.replace else None
        if reason:
            replaced.append(_reject(spec, row, column.source, REPLACED + reason, value))
    tally.listed += replaced
    return _Line(csv_line(fields), row)


def _replacement(column: ColumnPlan, value: Value | None) -> str | None:
    """Why a text was changed by `on_bad_value: replace`, None where it was not."""
    if column.type.kind in (Kind.BLOB, Kind.MIXED_BYTEA) or not isinstance(value, (str, BadText)):
        return None
    try:
        text_of(value, replace=False)
    except Refusal as refusal:
        return refusal.reason
    return None


def _reject(spec: CopySpec, row: Row, column: str | None, reason: str, value: Value | None) -> Reject:
    key = spec.mask.shown_key(spec.table, row.key)
    if column is not None and value is not None and spec.mask.covers(spec.table, column):
        kept: bytes | None = spec.mask.fingerprint(scalar(value)).encode()
    else:
        kept = printable_bytes(value)
    return Reject(
        table=spec.table, key=key, column=column, reason=reason, value=None if kept is None else kept[:VALUE_LIMIT]
    )


def _blocks(lines: Iterable[_Line]) -> Iterator[list[_Line]]:
    """Bounded groups; an empty group at the end, so that rejects without any good row are listed too."""
    block: list[_Line] = []
    size = 0
    for line in lines:
        block.append(line)
        size += line.csv.size
        if len(block) >= BLOCK_ROWS or size >= BLOCK_BYTES:
            yield block
            block, size = [], 0
    yield block


class _Writer:
    """Sends blocks; halves a refused one until the refused rows stand alone."""

    def __init__(self, connection: asyncpg.Connection, order: WorkOrder, tally: _Tally, *, limit: int | None) -> None:
        self._limit = limit
        self._connection = connection
        self._order = order
        self._tally = tally
        self._by_target = {c.target: i for i, c in enumerate(order.spec.columns)}

    async def write(self, lines: list[_Line]) -> None:
        """Send lines under a savepoint, so that the segment stays one transaction whatever is refused."""
        import asyncpg

        if not lines:
            return
        try:
            async with self._connection.transaction():
                await self._copy(lines)
        except asyncpg.PostgresError as error:
            if not refuses_rows(error.sqlstate or ""):
                raise
            if len(lines) == 1:
                self._refuse(lines[0], error)
                return
        else:
            self._tally.rows += len(lines)
            return
        middle = len(lines) // 2
        await self.write(lines[:middle])
        await self.write(lines[middle:])

    async def _copy(self, lines: list[_Line]) -> None:
        spec = self._order.spec
        status = await self._connection.copy_to_table(
            spec.name, schema_name=spec.schema, columns=list(self._by_target), format="csv",
            source=pieces(line.csv for line in lines),
        )  # fmt: skip
        if status != f"COPY {len(lines)}":
            raise StepFailed(
                f"The target took another number of rows of {spec.table} than were sent.",
                detail=f"sent {len(lines)}, answer {status}",
                hint="Look for a trigger or rule on the target table that drops rows.",
                code="rows_written",
            )

    def _refuse(self, line: _Line, error: asyncpg.PostgresError) -> None:
        column = refused_column(error, self._by_target)
        spec = self._order.spec
        said = discreet(error, spec.hidden, column=column)
        reason = f"PostgreSQL {error.sqlstate}: {said.args[0] if said.args else ''}"
        place = self._by_target.get(column or "")
        source = None if place is None else spec.columns[place].source
        value = None if place is None else line.row.values[place]
        self._tally.listed.append(_reject(spec, line.row, source, reason, value))
        self._tally.rejected += 1
        if self._limit is None:
            return
        self._tally.refused += 1
        if self._tally.refused > self._limit:
            raise TableStopped(
                f"The target refuses too many rows of {spec.table}: the type of a column is wrong.",
                detail=f"{self._tally.refused} rows of one segment, last: column {source or 'unknown'}: {reason}",
            )

    async def list_refused(self) -> None:
        """Write down what was refused or replaced so far, in the same transaction."""
        if self._tally.listed:
            await add_rejects(self._connection, self._order.run, self._order.segment.n, self._tally.listed)
            self._tally.listed.clear()

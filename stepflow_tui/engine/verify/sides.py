"""Reading rows of both sides: the source by the standard library in short reads, the target through asyncpg."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.connect import Text, open_frozen, open_living
from stepflow_tui.engine.verify.expected import LoneText, Value
from stepflow_tui.engine.verify.job import VerifyJob

_NO_TEXT = (Kind.INTEGER, Kind.BOOLEAN, Kind.REAL, Kind.EPOCH)

VERIFY_SETTINGS = {
    "max_parallel_workers_per_gather": "0",  # ordered subqueries stay ordered
    "enable_seqscan": "off",  # every range goes through the key's index
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "jit": "off",
}
"""Session settings of every reading connection of a verification."""


def open_source(job: VerifyJob) -> sqlite3.Connection:
    """The source, TEXT as `Text`."""
    return open_frozen(job.source, exact_rows=True) if job.frozen else open_living(job.source, exact_rows=True)


async def open_target(job: VerifyJob) -> Any:
    """A connection with a session pinned for reading. The caller closes it."""
    connection = await job.target.connect()
    await connection.execute("; ".join(f"set {name} to '{value}'" for name, value in VERIFY_SETTINGS.items()))
    return connection


class Sides:
    """The two connections of one table's comparison; `lock` guards them, since neither takes two calls at once."""

    def __init__(self, source: sqlite3.Connection, target: Any) -> None:
        self.source = source
        self.target = target
        self.lock = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, job: VerifyJob) -> AsyncIterator[Sides]:
        """Both sides, closed afterwards."""
        source = await asyncio.to_thread(open_source, job)
        try:
            target = await open_target(job)
            try:
                yield cls(source, target)
            finally:
                await target.close(timeout=5)
        finally:
            source.close()


class KeptSides:
    """Both connections, opened when they are first needed and kept from table to table: opening them costs more than
    comparing a small table."""

    def __init__(self, job: VerifyJob) -> None:
        self._job = job
        self._stack = AsyncExitStack()
        self._sides: Sides | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drop()

    async def get(self) -> Sides:
        """Both sides. Raises what opening them raises."""
        if self._sides is None:
            self._sides = await self._stack.enter_async_context(Sides.open(self._job))
        return self._sides

    async def drop(self) -> None:
        """Close them: a read may still be under way, so they are not to be used for another table."""
        self._sides = None
        await self._stack.aclose()


class SourceRows:
    """SELECT list and row decoding of a table's values.

    A UTF-16 file's text is read as its stored bytes too and decoded here: SQLite's own conversion turns lone surrogates
    into something else without a word.
    """

    def __init__(self, job: VerifyJob, columns: Sequence[ColumnPlan]) -> None:
        self._codec = {"utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}.get(job_encoding(job), "")
        self._paired = tuple(bool(self._codec) and c.type.kind not in _NO_TEXT for c in columns)
        parts = []
        for column, paired in zip(columns, self._paired, strict=True):
            x = lite_ident(column.source)
            parts.append(x)
            if paired:
                parts.append(f"iif(typeof({x})='text',cast({x} as blob),null)")
        self.select = ",".join(parts) or "null"
        self.width = len(columns)

    def decode(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Value, ...]]:
        """Rows as the table's values."""
        if not any(self._paired):
            return list(rows)
        return [self._row(row) for row in rows]

    def _row(self, row: tuple[Any, ...]) -> tuple[Value, ...]:
        values: list[Value] = []
        at = 0
        for paired in self._paired:
            value = row[at]
            if paired:
                at += 1
                if row[at] is not None:
                    value = _decoded(bytes(row[at]), self._codec)
            values.append(value)
            at += 1
        return tuple(values)


def _decoded(raw: bytes, codec: str) -> Text:
    try:
        return Text(raw.decode(codec).encode())
    except UnicodeDecodeError:
        lone = LoneText(raw.decode(codec, "replace").encode() + b"\xff")  # \xff: never equal to any valid text
        lone.raw, lone.codec = raw, codec
        return lone


def job_encoding(job: VerifyJob) -> str:
    """`utf-8`, `utf-16le` or `utf-16be`."""
    if not job.utf16:
        return "utf-8"
    connection = open_source(job)
    try:
        return bytes(connection.execute("pragma encoding").fetchone()[0]).decode().lower()
    finally:
        connection.close()

"""The tail's side of the source: one read transaction per step, in which log and rows belong to the same moment."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from stepflow_tui.engine.bulk.reader import exact_columns, exact_values
from stepflow_tui.engine.bulk.values import Value
from stepflow_tui.engine.errors import Drift, Held, StepFailed
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.model.live import CTL, LOG
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.capture import guard
from stepflow_tui.engine.sqlite.connect import open_living, shown

T = TypeVar("T")

FETCH_ROWS = 2_000
FETCH_BYTES = 4 << 20
"""Keys or rows that are read at once: whichever is reached first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """The log in the step's snapshot: its newest entry (0 without one), whether writes are fenced, and whether writers
    need not wait for readers."""

    log_max: int
    fenced: bool
    wal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The log entries of one step, `low` exclusive; how many there are for each table."""

    low: int
    high: int
    counts: dict[str, int]

    @property
    def changes(self) -> int:
        """Entries in all."""
        return sum(self.counts.values())


class SourceSide:
    """The living file. Its calls run one after the other in a thread of its own, so that a step that was cancelled can't
    meet the next one."""

    def __init__(self, job: TailJob) -> None:
        self._job = job
        self._connection: sqlite3.Connection | None = None
        self._seen: int | None = None  # data_version in the newest step's snapshot
        self._log: tuple[int, int] | None = None  # the connection's -wal file, by device and inode
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stepflow-tail")

    async def begin(self) -> LogState:
        """Open the read transaction of a step, after the one before has ended.

        Raises:
            StepFlowError: capture is not as it was installed, or the file can't be read.
        """
        return await self._do(self._begin)

    async def span(self, w: int, limit: int | None) -> Span:
        """The entries after `w`, at most about `limit`.

        Raises:
            Drift: entries are missing that were never applied.
        """
        return await self._do(lambda: self._span(w, limit))

    async def keys(
        self, table: TablePlan, span: Span, again: Sequence[int]
    ) -> AsyncGenerator[list[tuple[Any, ...]], None]:
        """Keys that may have changed, in parts; each row is the key's values and its newest log entry.

        Args:
            table: the table.
            span: the entries.
            again: further entries, of rows that were not applied before.
        """
        width = len(table.live_key)
        names = [lite_ident(f"k{i}") for i in range(1, width + 1)]
        sql = f"select {self._columns([*names, 'n'])} from ({_dirty(table, span, again)})"
        async with aclosing(self._parts(sql, (table.source,))) as parts:
            async for part in parts:
                yield part

    async def rows(
        self, table: TablePlan, span: Span, again: Sequence[int]
    ) -> AsyncGenerator[list[tuple[Any, ...]], None]:
        """The present rows of those keys, in parts; each is the copied columns' values and the key's newest log entry."""
        columns = [f"t.{lite_ident(c.source)}" for c in table.copied]
        on = " and ".join(_same(f"t.{lite_ident(name)}", f"d.k{i}") for i, name in enumerate(table.live_key, 1))
        sql = (
            f"select {self._columns([*columns, 'd.n'])} from ({_dirty(table, span, again)}) as d"
            f" cross join {lite_ident(table.source)} as t where {on}"
        )
        async with aclosing(self._parts(sql, (table.source,))) as parts:
            async for part in parts:
                yield part

    async def end(self) -> None:
        """End the read transaction of a step that went well."""
        await self._do(self._end)

    async def abandon(self) -> None:
        """End it after a step that failed: statements may still be open on the connection, so that goes too."""
        await self._do(self._drop)

    async def changed(self) -> bool:
        """Whether anybody may have written since the newest step's snapshot. Opens no transaction."""
        return await self._do(self._changed)

    async def hand_over(self) -> sqlite3.Connection:
        """The connection with its open read transaction; whoever takes it closes it. The next step opens another."""
        return await self._do(self._take)

    async def close(self) -> None:
        """Close the connection after what runs on it has ended."""
        with suppress(RuntimeError):  # closed before
            await self._do(self._drop)
        self._thread.shutdown(wait=False)

    async def touched_since(self, n: int) -> dict[str, list[tuple[Value | None, ...]]]:
        """Keys logged after `n` by table, as the source stores them, from a snapshot of its own.

        Raises:
            Drift: entries after `n` are gone.
        """
        return await asyncio.to_thread(lambda: self._mapped(lambda: self._touched(n)))

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._mapped(work))

    def _mapped(self, work: Callable[[], T]) -> T:
        with source_errors(self._job):
            return work()

    def _open(self) -> sqlite3.Connection:
        return open_living(self._job.source, exact_rows=True)

    def _begin(self) -> LogState:
        """A connection that was opened before may belong to side files that somebody took away, restoring a backup: then it
        reads what nobody writes any more, or nothing at all. Only a new one shows what is there now."""
        if self._connection is not None and self._log != _wal_of(self._job):
            self._drop()
        kept = self._connection is not None
        try:
            return self._begin_once()
        except sqlite3.OperationalError as error:
            if not kept or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_IOERR:
                raise
            return self._begin_once()

    def _begin_once(self) -> LogState:
        if self._connection is None:
            self._connection = self._open()
        conn = self._connection
        if conn.in_transaction:
            conn.execute("rollback")
        conn.execute("begin")
        try:
            guard(conn, self._job.installed, self._job.source)
            state = LogState(
                log_max=conn.execute(f"select coalesce(max(n), 0) from {lite_ident(LOG)}").fetchone()[0],
                fenced=bool(conn.execute(f"select fenced from {lite_ident(CTL)}").fetchone()[0]),
                wal=conn.execute("pragma journal_mode").fetchone()[0] == b"wal",
            )
            self._seen = conn.execute("pragma data_version").fetchone()[0]
            self._log = _wal_of(self._job)
        except BaseException:
            # another file may stand at the path by now: the next step opens it anew
            self._drop()
            raise
        return state

    def _span(self, w: int, limit: int | None) -> Span:
        conn = self._connection
        assert conn is not None
        _check_ends(conn, w)
        log = lite_ident(LOG)
        high = conn.execute(f"select coalesce(max(n), ?) from {log} where n > ?", (w, w)).fetchone()[0]
        if limit is not None:
            high = min(high, w + limit)
        rows = conn.execute(f"select tb, count(*) from {log} where n > ? and n <= ? group by tb", (w, high)).fetchall()
        return Span(low=w, high=high, counts={bytes(tb).decode(): count for tb, count in rows})

    def _columns(self, quoted: list[str]) -> str:
        return exact_columns(quoted, wide=self._job.codec != "utf-8")

    async def _parts(self, sql: str, parameters: tuple[object, ...]) -> AsyncGenerator[list[tuple[Any, ...]], None]:
        cursor = await self._do(lambda: self._cursor(sql, parameters))
        try:
            while part := await self._do(lambda: self._fetch(cursor)):
                yield part
        finally:
            await self._do(cursor.close)

    def _cursor(self, sql: str, parameters: tuple[object, ...]) -> sqlite3.Cursor:
        assert self._connection is not None
        return self._connection.execute(sql, parameters)

    def _fetch(self, cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
        part: list[tuple[Any, ...]] = []
        size = 0
        for raw in cursor:
            part.append(exact_values(raw, self._job.codec))
            size += sum([len(v) for v in raw if isinstance(v, bytes)])
            if len(part) == FETCH_ROWS or size >= FETCH_BYTES:
                break
        return part

    def _end(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._connection.execute("commit")

    def _changed(self) -> bool:
        if self._connection is None or self._seen is None:
            return True
        return bool(self._connection.execute("pragma data_version").fetchone()[0] != self._seen)

    def _take(self) -> sqlite3.Connection:
        connection, self._connection, self._seen = self._connection, None, None
        assert connection is not None
        return connection

    def _drop(self) -> None:
        connection, self._connection, self._seen = self._connection, None, None
        if connection is not None:
            connection.close()

    def _touched(self, n: int) -> dict[str, list[tuple[Value | None, ...]]]:
        with closing(self._open()) as conn:
            conn.execute("begin")
            guard(conn, self._job.installed, self._job.source)
            _check_ends(conn, n)
            found = {}
            high = conn.execute(f"select coalesce(max(n), 0) from {lite_ident(LOG)}").fetchone()[0]
            for table in self._job.tables:
                names = [lite_ident(f"k{i}") for i in range(1, len(table.live_key) + 1)]
                sql = _dirty(table, Span(low=n, high=high, counts={}), ())
                rows = conn.execute(f"select {self._columns(names)} from ({sql})", (table.source,))
                keys = [exact_values(raw, self._job.codec) for raw in rows]
                if keys:
                    found[table.source] = keys
            return found


def _wal_of(job: TailJob) -> tuple[int, int] | None:
    """Device and inode of the -wal file; None without one. Never opened: that would cost our connection its locks."""
    try:
        status = os.stat(f"{os.fspath(job.source)}-wal")  # noqa: PTH116 - one system call per step
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _dirty(table: TablePlan, span: Span, again: Sequence[int]) -> str:
    """The distinct keys of the entries, each with its newest entry."""
    names = ",".join(lite_ident(f"k{i}") for i in range(1, len(table.live_key) + 1))
    log = lite_ident(LOG)
    sql = f"select {names},n from {log} where n > {span.low:d} and n <= {span.high:d} and tb = ?1"
    if again:
        sql += f" union all select {names},n from {log} where n in ({','.join(f'{n:d}' for n in again)}) and tb = ?1"
        sql = f"select * from ({sql})"
        return f"select {names},max(n) as n from ({sql}) group by {names}"
    return f"select {names},max(n) as n from {log} where n > {span.low:d} and n <= {span.high:d} and tb = ?1 group by {names}"


def _same(column: str, key: str) -> str:
    """Found by the column's own collation, which its index has, then told apart by bytes."""
    return f"{column} = {key} and {column} collate binary = {key}"


def _check_ends(conn: sqlite3.Connection, w: int) -> None:
    """The log must begin no later than behind `w` and end no earlier than at it."""
    log = lite_ident(LOG)
    zero, first, newest = conn.execute(
        f"select (select n from {log} where n = 0), (select min(n) from {log} where n > ?), (select max(n) from {log})",
        (w,),
    ).fetchone()
    if zero is None:
        raise Drift(
            "Somebody emptied the source's change log: which rows changed since is not known.",
            detail=f"the entries of {LOG} are gone; applied up to {w}",
            hint="Everything must be copied again: `stepflow abort` and start a new run.",
            code="log_emptied",
        )
    if w > newest:
        raise Drift(
            "The source's change log ends before what the target has applied: the file is an older copy of itself.",
            detail=f"applied up to {w}, the log ends at {newest}",
            hint="The tables must be copied again: `stepflow rollback --to backfill`, then `stepflow continue`.",
            code="log_before_watermark",
        )
    if first is not None and first > w + 1:
        raise Drift(
            "Changes that the target never got are no longer in the source's change log.",
            detail=f"applied up to {w}, the log begins at {first}: the target was set back to an older point",
            hint="The tables must be copied again: `stepflow rollback --to backfill`, then `stepflow continue`.",
            code="watermark_before_log",
        )


@contextmanager
def source_errors(job: TailJob) -> Iterator[None]:
    """What SQLite says about the living file, as ours.

    Raises:
        Held: `source_busy`, which may pass. StepFailed: `source_unreadable`, which does not.
    """
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Held(
                "A writer holds the source for too long.",
                detail=f"{shown(job.source)}: {error}",
                hint="End the transaction that keeps it locked, then `stepflow run` again.",
                code="source_busy",
            ) from None
        raise StepFailed(
            "The changes of the source can't be read.", detail=f"{shown(job.source)}: {error}", code="source_unreadable"
        ) from None

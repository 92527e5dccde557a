"""The SQLite side of the way back: one transaction per step, in which rows and position are written together."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from stepflow_tui.engine.bulk.reader import exact_columns, exact_values
from stepflow_tui.engine.bulk.values import BadText, Value
from stepflow_tui.engine.errors import Drift, Held, Refused
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.live.reverse_job import ReverseJob
from stepflow_tui.engine.model.live import CTL, LOG, WRITER, Installed
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.applying import begin, commit, immediate, open_applying, rollback
from stepflow_tui.engine.sqlite.capture_state import guard, identity, newest, replaced
from stepflow_tui.engine.sqlite.connect import set_pragma, shown
from stepflow_tui.engine.sqlite.mapping import sqlite_errors

T = TypeVar("T")
LiteKey = tuple[Value, ...]
LiteRow = tuple[Value | None, ...]

CHECKPOINT_PAGES = 1_000
"""The application writes elsewhere by now: nobody but this connection keeps the WAL short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where SQLite stands: the snapshot of PostgreSQL it holds, None before the way back was prepared."""

    snapshot: str | None


class LiteSide:
    """The fenced file. Calls run one after the other in a thread of its own, so that a step that was cancelled can't meet
    the next one."""

    def __init__(self, job: ReverseJob) -> None:
        self._job = job
        self._conn: sqlite3.Connection | None = None
        self._identity = (0, 0)
        self._before = 0  # newest log entry before the step
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stepflow-reverse")

    async def position(self) -> Position:
        """Where the file stands now."""
        return await self._do(self._position)

    async def seed(self, snapshot: str) -> None:
        """Begin at a snapshot, unless a position is noted already."""
        await self._do(lambda: self._seed(snapshot))

    async def begin(self, expected: str | None) -> None:
        """Open the step's transaction.

        Raises:
            Held: the lock was not free in time, or another engine has made a step.
            Refused: the file is not fenced. Drift: it is not as it was fenced.
        """
        await self._do(lambda: self._begin(expected))

    async def look(self) -> None:
        """See that the file is as it was fenced, while there is nothing to write.

        Raises:
            Refused, Drift: as `begin`.
        """
        await self._do(self._look)

    async def take_off(self, table: TablePlan, keys: Sequence[LiteKey]) -> list[LiteRow | None]:
        """Delete the rows of these keys; returns what they held (None: no such row)."""
        return await self._do(lambda: self._take_off(table, keys))

    async def empty(self, table: TablePlan) -> None:
        """Delete all rows."""
        await self._do(lambda: self._empty(table))

    async def put(self, table: TablePlan, rows: Sequence[LiteRow]) -> list[str | None]:
        """Insert rows; returns SQLite's words about each it refused, None for the others."""
        return await self._do(lambda: self._put(table, rows))

    async def read(self, table: TablePlan, keys: Sequence[LiteKey]) -> list[LiteRow | None]:
        """What the file holds for these keys now."""
        return await self._do(lambda: self._read(table, keys))

    async def all_keys(self, table: TablePlan) -> list[LiteKey]:
        """Every key, as it is stored."""
        return await self._do(lambda: self._all_keys(table))

    async def commit(self, expected: str | None, snapshot: str) -> None:
        """Note the new position, forget what capture logged of the step, and commit: all of it or nothing."""
        await self._do(lambda: self._commit(expected, snapshot))

    def abandon(self) -> None:
        """Take the step back after whatever still runs of it."""
        self._queue(self._rollback)

    def rest(self) -> None:
        """Let go of the file after whatever still runs; the next call opens it again."""
        self._queue(self._rest)

    async def close(self) -> None:
        """Close the connection; a step under way is taken back."""
        with suppress(RuntimeError):  # closed before
            await self._do(self._close)
        self._thread.shutdown(wait=False)

    def _queue(self, work: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # closed before
            self._thread.submit(work)

    async def _do(self, work: Callable[[], T]) -> T:
        def mapped() -> T:
            with sqlite_errors(f"The way back to {shown(self._job.source)}"):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, mapped)

    def _opened(self) -> sqlite3.Connection:
        path = self._job.source
        if self._conn is None:
            self._identity = identity(path)
            self._conn = open_applying(path)
            set_pragma(self._conn, "wal_autocheckpoint", CHECKPOINT_PAGES)
        elif identity(path) != self._identity:
            self._close()
            raise replaced(path, "device or inode differ from those at the start")
        return self._conn

    def _position(self) -> Position:
        row = self._opened().execute(f"select run, reverse_snapshot from {CTL}").fetchone()
        if row is None or bytes(row[0]).decode() != self._job.run:
            raise Drift(
                f"{shown(self._job.source)} does not belong to this run.",
                hint="Put the file back that was fenced by the cutover.",
                code="capture_log_missing",
            )
        return Position(snapshot=None if row[1] is None else bytes(row[1]).decode())

    def _seed(self, snapshot: str) -> None:
        conn = self._opened()
        with immediate(conn, self._job.source, self._job.wait_seconds):
            if self._position().snapshot is None:
                conn.execute(f"update {CTL} set reverse_snapshot=?", (snapshot,))

    def _begin(self, expected: str | None) -> None:
        conn = self._opened()
        self._rollback()
        begin(conn, self._job.source, self._job.wait_seconds)
        if self._position().snapshot != expected:
            raise _superseded(self._job)
        self._check(conn)
        self._before = newest(conn)
        conn.execute(f"update {CTL} set writer=?", (WRITER,))
        failpoint("reverse_begun")

    def _look(self) -> None:
        conn = self._opened()
        conn.execute("begin")
        try:
            self._check(conn)
        finally:
            self._rollback()

    def _check(self, conn: sqlite3.Connection) -> None:
        fenced, version, triggers = conn.execute(f"select fenced, schema_version, triggers from {CTL}").fetchone()
        if not fenced:
            raise Refused(
                f"{shown(self._job.source)} is not fenced: the application may be writing to it.",
                hint="Changes of PostgreSQL are brought back behind the write fence only.",
                code="not_fenced",
            )
        expected = Installed(
            device=self._identity[0], inode=self._identity[1], schema_version=version, triggers_sha256=bytes(triggers).decode()
        )  # fmt: skip
        guard(conn, expected, self._job.source)

    def _in_step(self) -> sqlite3.Connection:
        conn = self._opened()
        assert conn.in_transaction, "rows are written in a step's transaction only"
        return conn

    def _empty(self, table: TablePlan) -> None:
        self._in_step().execute(f"delete from {lite_ident(table.source)}")

    def _take_off(self, table: TablePlan, keys: Sequence[LiteKey]) -> list[LiteRow | None]:
        held = self._read(table, keys)
        there = [key for key, row in zip(keys, held, strict=True) if row is not None]
        self._in_step().executemany(f"delete from {lite_ident(table.source)} where {_where(table)}", _twice(there))
        failpoint("reverse_deleted")
        return held

    def _read(self, table: TablePlan, keys: Sequence[LiteKey]) -> list[LiteRow | None]:
        columns = self._columns([c.source for c in table.copied])
        sql = f"select {columns} from {lite_ident(table.source)} where {_where(table)}"
        conn, codec = self._opened(), self._job.codec
        found: list[LiteRow | None] = []
        for key in _twice(keys):
            row = conn.execute(sql, key).fetchone()
            found.append(None if row is None else exact_values(row, codec))
        return found

    def _all_keys(self, table: TablePlan) -> list[LiteKey]:
        rows = self._opened().execute(f"select {self._columns(table.live_key)} from {lite_ident(table.source)}")
        found: list[Any] = [exact_values(row, self._job.codec) for row in rows]
        return found

    def _columns(self, names: Iterable[str]) -> str:
        return exact_columns([lite_ident(name) for name in names], wide=self._job.codec != "utf-8")

    def _put(self, table: TablePlan, rows: Sequence[LiteRow]) -> list[str | None]:
        """All at once; one by one where SQLite refuses any."""
        conn = self._in_step()
        conn.execute("savepoint rows")
        try:
            for row in rows:
                _insert(conn, table, row)
        except (sqlite3.IntegrityError, sqlite3.OperationalError, sqlite3.DataError, OverflowError) as error:
            _let_pass(error)
            conn.execute("rollback to rows")
            refused = [_try(conn, table, row) for row in rows]
        else:
            refused = [None] * len(rows)
        conn.execute("release rows")
        failpoint("reverse_inserted")
        return refused

    def _commit(self, expected: str | None, snapshot: str) -> None:
        conn = self._in_step()
        # as if they had never been: the numbers go on without a gap, which the tail would take for lost changes
        conn.execute(f"delete from {LOG} where n > ?", (self._before,))
        moved = conn.execute(
            f"update {CTL} set writer='', reverse_snapshot=? where reverse_snapshot is ?", (snapshot, expected)
        ).rowcount
        if moved != 1:
            raise _superseded(self._job)
        failpoint("reverse_commit")
        commit(conn, self._job.source, self._job.wait_seconds)
        failpoint("reverse_committed")

    def _rollback(self) -> None:
        if self._conn is not None:
            rollback(self._conn)

    def _rest(self) -> None:
        if self._conn is not None and not self._conn.in_transaction:
            self._close()

    def _close(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()


def _superseded(job: ReverseJob) -> Held:
    return Held(
        f"Another engine brings changes back to {shown(job.source)}.",
        hint="`stepflow runs` shows it; only one may.",
        code="superseded",
    )


def _where(table: TablePlan) -> str:
    """Found by the column's own collation, which its index has, then told apart by bytes."""
    names = [lite_ident(name) for name in table.live_key]
    return " and ".join(f"{n}=? and {n} collate binary=?" for n in names)


def _twice(keys: Iterable[LiteKey]) -> list[tuple[Value, ...]]:
    return [tuple(v for value in key for v in (value, value)) for key in keys]


def _insert(conn: sqlite3.Connection, table: TablePlan, row: LiteRow) -> None:
    """`or abort`: a constraint's own ON CONFLICT clause would drop this row, or another, without a word."""
    names = ",".join(lite_ident(c.source) for c in table.copied)
    marks = ",".join("cast(? as text)" if isinstance(v, BadText) else "?" for v in row)
    values = [v.raw if isinstance(v, BadText) else v for v in row]
    conn.execute(f"insert or abort into {lite_ident(table.source)}({names}) values ({marks})", values)


def _try(conn: sqlite3.Connection, table: TablePlan, row: LiteRow) -> str | None:
    try:
        _insert(conn, table, row)
    except (sqlite3.IntegrityError, sqlite3.OperationalError, sqlite3.DataError, OverflowError) as error:
        _let_pass(error)
        return f"SQLite: {error}"
    return None


_ROW_ERRORS = ("SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_TOOBIG", "SQLITE_ERROR")


def _let_pass(error: Exception) -> None:
    """Raises what is no verdict about a row: a full disk, a lock, an input/output error."""
    name = getattr(error, "sqlite_errorname", None)
    if name is not None and not name.startswith(_ROW_ERRORS):
        raise error

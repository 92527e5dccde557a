"""The engine's one writing connection: made privately, its pragmas read back, every write through one helper.

Owns the transaction rules; what is written is the business of the modules beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite

from stepflow_tui.engine.errors import DiskFull, Refused, StepFailed
from stepflow_tui.engine.journal import schema
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.codec import dumps, to_plain
from stepflow_tui.engine.model.redact import Redact, redact_data

T = TypeVar("T")
Body = Callable[[aiosqlite.Connection], Awaitable[T]]

JOURNAL = "journal.db"
RESERVE = "reserve"
RESERVE_BYTES = 256 * 1024
"""Given back to the disk when it is full, so that the news of it can still be written."""
LOCK_RETRIES = 3
"""A front end stopped inside a write holds the lock; every try waits `busy_timeout`."""

_PRAGMAS = (
    ("journal_mode", "wal"),
    ("synchronous", "2"),
    ("busy_timeout", "5000"),
    ("wal_autocheckpoint", "1000"),
    ("journal_size_limit", "8388608"),
    ("foreign_keys", "1"),
)


def create_private(path: Path) -> bool:
    """Make an empty file of mode 0600 before SQLite sees it, so that `-wal` and `-shm` take over its mode.

    Returns:
        False when it is there already.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


def make_reserve(run_dir: Path) -> None:
    """Set bytes aside for the day the disk is full; real bytes, a sparse file would reserve nothing."""
    path = run_dir / RESERVE
    create_private(path)
    if path.stat().st_size < RESERVE_BYTES:  # new, or a full disk cut it short
        path.write_bytes(os.urandom(RESERVE_BYTES))


class Writer:
    """Base of the journal: connection, transactions, redaction, clock."""

    def __init__(self, run_dir: Path, connection: aiosqlite.Connection, clock: Clock, redact: Redact) -> None:
        self.run_dir = run_dir
        self.clock = clock
        self._db = connection
        self._redact = redact
        self._lock = asyncio.Lock()
        self._data_version: int | None = None

    @classmethod
    async def open(cls, run_dir: Path, clock: Clock, redact: Redact = str) -> Self:
        """Open the run's journal, making or migrating it first.

        Raises:
            Refused: it was written by a newer StepFlow.
            DiskFull: there is no room for it.
        """
        path = run_dir / JOURNAL
        create_private(path)
        connection = await aiosqlite.connect(path, isolation_level=None)
        try:
            with _disk_errors(run_dir):
                await asyncio.to_thread(make_reserve, run_dir)
                await _set_up(connection)
                await _migrate(connection)
        except BaseException:
            await connection.close()  # its thread is no daemon: left open, the process would never end
            raise
        return cls(run_dir, connection, clock, redact)

    async def close(self) -> None:
        """Close the connection and end its thread."""
        await self._db.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def write(self, body: Body[T]) -> T:
        """Run `body` in one transaction that a cancelled caller can't tear.

        Cancelling an await on the driver cancels nothing: the statement still runs. So the whole transaction is a task
        of its own that is waited for to its end, whatever happens to the caller.

        Raises:
            DiskFull, StepFailed: the transaction is rolled back.
        """
        task = asyncio.create_task(self._transaction(body))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # looked at, or the loop would complain; the caller was cancelled anyway
            raise

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        """One statement in its own transaction."""

        async def body(db: aiosqlite.Connection) -> None:
            await db.execute(sql, params)

        await self.write(body)

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """One statement for many rows, one transaction."""

        async def body(db: aiosqlite.Connection) -> None:
            await db.executemany(sql, rows)

        await self.write(body)

    async def fetch(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """All rows of a query, as dicts. Never a half-read cursor: it would hold the WAL back."""
        async with self._lock, self._db.execute(sql, params) as cursor:
            rows = await cursor.fetchall()
            return [dict(zip((d[0] for d in cursor.description), row, strict=True)) for row in rows]

    async def bell(self) -> bool:
        """Whether another process wrote since the last call; the connection's own writes don't ring it."""
        row = (await self.fetch("PRAGMA data_version"))[0]
        version = int(row["data_version"])
        moved = version != self._data_version
        self._data_version = version
        return moved

    def plain(self, value: Any) -> str:
        """Canonical JSON with every known secret blotted out."""
        return dumps(redact_data(to_plain(value), self._redact))

    def clean(self, text: str) -> str:
        """Text with every known secret blotted out."""
        return self._redact(text)

    async def _transaction(self, body: Body[T]) -> T:
        async with self._lock:
            with _disk_errors(self.run_dir):
                await self._begin()
                try:
                    result = await body(self._db)
                    await self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:  # a full disk has rolled back by itself
                        await self._db.execute("ROLLBACK")
                    raise
                return result

    async def _begin(self) -> None:
        for attempt in range(LOCK_RETRIES):
            try:
                await self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as exc:
                if getattr(exc, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY or attempt == LOCK_RETRIES - 1:
                    raise
            else:
                return


@contextlib.contextmanager
def _disk_errors(run_dir: Path) -> Any:
    try:
        yield
    except sqlite3.OperationalError as exc:
        raise _mapped(exc, run_dir) from exc
    except sqlite3.DatabaseError as exc:
        raise StepFailed(
            f"The journal {run_dir / JOURNAL} can't be written.",
            detail=str(exc),
            hint="Look at the disk it lies on; the target's ledger still knows which chunks are done.",
            code="journal_failed",
        ) from exc
    except OSError as exc:
        raise DiskFull(f"The run folder {run_dir} can't be written.", detail=str(exc)) from exc


def _mapped(exc: sqlite3.OperationalError, run_dir: Path) -> StepFailed:
    primary = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and free_bytes(run_dir) < RESERVE_BYTES):
        (run_dir / RESERVE).unlink(missing_ok=True)
        return DiskFull(f"No room left for the journal in {run_dir}.", detail=str(exc))
    if primary == sqlite3.SQLITE_BUSY:
        return StepFailed(
            "Another process keeps the journal locked.",
            detail=str(exc),
            hint="A stopped front end (Ctrl-Z) may hold it: continue or end that process, then `stepflow run` again.",
            code="journal_busy",
        )
    return StepFailed(f"The journal {run_dir / JOURNAL} can't be written.", detail=str(exc), code="journal_failed")


def free_bytes(folder: Path) -> int:
    """Bytes an ordinary user may still write on the disk of `folder`."""
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


async def _set_up(db: aiosqlite.Connection) -> None:
    for name, wanted in _PRAGMAS:
        await db.execute(f"PRAGMA {name}={wanted}")
        row = next(iter(await db.execute_fetchall(f"PRAGMA {name}")))
        if str(row[0]) != wanted:
            raise Refused(
                f"The journal's disk does not give what the journal needs: {name} is {row[0]}, not {wanted}.",
                hint="Choose a state directory on a local file system with --state-dir.",
                code="journal_pragma",
            )


async def _migrate(db: aiosqlite.Connection) -> None:
    current = int(next(iter(await db.execute_fetchall("PRAGMA user_version")))[0])
    if current > schema.latest():
        raise Refused(
            f"This run was written by a newer StepFlow (journal version {current}, known {schema.latest()}).",
            hint="Use the StepFlow version that made the run, or start a new run with --new.",
            code="journal_newer",
        )
    for migration in schema.pending(current):
        await db.execute("BEGIN IMMEDIATE")
        for statement in migration.statements:
            await db.execute(statement)
        await db.execute(f"PRAGMA user_version={migration.number}")
        await db.execute("COMMIT")

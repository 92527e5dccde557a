"""Owns how StepFlow writes to an application's file: one connection, short transactions, a bounded wait for their lock.

What is committed here must survive a loss of power (a fence that came back down would let writes through), and must not
make anything happen but what is written: no cascade of a foreign key, no trigger fired by a trigger.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stepflow_tui.engine.errors import DiskFull, Held, StepFailed
from stepflow_tui.engine.sqlite.connect import Text, file_uri, set_pragma, shown

RETRY_SECONDS = 0.002
"""Between two tries for the lock: SQLite's own waiting sleeps up to 0.1 s, and loses against a busy writer."""

_SETTINGS = {
    "synchronous": 2,  # FULL
    "foreign_keys": 0,
    "recursive_triggers": 0,
    "cell_size_check": 1,
    "mmap_size": 0,
    # CHECKs and generated columns may use functions that SQLite distrusts in a schema; this connection registers none
    "trusted_schema": 1,
}
_BUSY, _LOCKED, _FULL = 5, 6, 13


def open_applying(path: Path) -> sqlite3.Connection:
    """A connection for writing. TEXT arrives as `Text`. The caller closes it.

    Args:
        path: the real path.

    Raises:
        sqlite3.Error: no such file, no database, no right to write.
    """
    conn = sqlite3.connect(
        file_uri(path, "mode=rw"), uri=True, isolation_level=None, check_same_thread=False, timeout=0
    )
    try:
        for pragma, value in _SETTINGS.items():
            set_pragma(conn, pragma, value)
        conn.execute("select 1 from sqlite_schema limit 1").fetchall()
    except BaseException:
        conn.close()
        raise
    conn.text_factory = Text
    return conn


@contextmanager
def immediate(conn: sqlite3.Connection, path: Path, wait: float) -> Iterator[None]:
    """A transaction that has the write lock from its first moment. An exception rolls it back.

    Args:
        wait: seconds until the lock must be there, and again until the commit must have gone through (in a
            rollback-journal file it waits for readers).

    Raises:
        Held: the wait was over; nothing has changed.
        DiskFull, StepFailed: SQLite can't write.
    """
    with written(path):
        _until(conn, "begin immediate", path, wait)
        try:
            yield
            _until(conn, "commit", path, wait)
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk has rolled back by itself
                if conn.in_transaction:
                    conn.execute("rollback")
            raise


def _until(conn: sqlite3.Connection, statement: str, path: Path, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            conn.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (_BUSY, _LOCKED):
                raise
            if time.monotonic() >= deadline:
                raise Held(
                    f"The source {shown(path)} is locked by another connection.",
                    detail=f"{statement} waited {wait:g} s",
                    hint="`stepflow check` names the processes that hold it; end their transaction, then try again.",
                    code="source_busy",
                ) from None
            time.sleep(RETRY_SECONDS)
        else:
            return


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Turns SQLite's errors of a write into ours."""
    try:
        yield
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == _FULL
        kind = DiskFull if full else StepFailed
        raise kind(
            f"The source {shown(path)} can't be written.",
            detail=f"SQLite: {error}",
            hint="Make room on its disk, then go on." if full else "Look at the detail above; nothing was changed.",
            code="source_disk_full" if full else "source_not_written",
        ) from error

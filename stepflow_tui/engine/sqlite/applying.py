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

from stepflow_tui.engine.errors import Held
from stepflow_tui.engine.sqlite.connect import Text, open_application, set_pragma, shown
from stepflow_tui.engine.sqlite.mapping import sqlite_errors

RETRY_SECONDS = 0.002
"""Between two tries for the lock: SQLite's own waiting sleeps up to 0.1 s, and loses against a busy writer."""

OPENING_MS = 10_000
"""Opening reads the schema, which in a rollback-journal file waits for whoever is committing."""

_BUSY, _LOCKED = 5, 6


def open_applying(path: Path) -> sqlite3.Connection:
    """A connection for writing. TEXT arrives as `Text`. The caller closes it.

    Args:
        path: the real path.

    Raises:
        sqlite3.Error: no such file, no database, no right to write.
    """
    conn = open_application(path, busy_timeout_ms=OPENING_MS)
    try:
        set_pragma(conn, "busy_timeout", 0)
        set_pragma(conn, "recursive_triggers", 0)
        # CHECKs and generated columns may use functions that SQLite distrusts in a schema; this connection registers none
        set_pragma(conn, "trusted_schema", 1)
    except BaseException:
        conn.close()
        raise
    conn.text_factory = Text
    return conn


@contextmanager
def immediate(conn: sqlite3.Connection, path: Path, wait: float) -> Iterator[None]:
    """A transaction that has the write lock from its first moment. An exception rolls it back.

    Args, Raises: as `begin` and `commit`; StepFlowError where SQLite can't write, as `sqlite_errors` maps.
    """
    with sqlite_errors(f"A change of {shown(path)}"):
        begin(conn, path, wait)
        try:
            yield
            commit(conn, path, wait)
        except BaseException:
            rollback(conn)
            raise


def begin(conn: sqlite3.Connection, path: Path, wait: float) -> None:
    """Take the write lock.

    Args:
        wait: seconds until it must be there.

    Raises:
        Held: it was not free in time.
    """
    _until(conn, "begin immediate", path, wait)


def commit(conn: sqlite3.Connection, path: Path, wait: float) -> None:
    """Commit; in a rollback-journal file that waits for readers.

    Raises:
        Held: they did not end in time; the transaction is still open.
    """
    _until(conn, "commit", path, wait)


def rollback(conn: sqlite3.Connection) -> None:
    """Take back whatever is open. A full disk has rolled back by itself."""
    if conn.in_transaction:
        with suppress(sqlite3.Error):
            conn.execute("rollback")


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

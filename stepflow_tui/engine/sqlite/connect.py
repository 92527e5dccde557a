"""Owns how a SQLite file is opened: two ways to read, one to write files of ours, one to write an application's,
every pragma read back.

A frozen file is ours and can't change (`immutable=1`); a living one belongs to an application (`mode=ro`; written
only by change capture and the way back of a live run, through `open_application`, and by the conversion of its
journal mode, through `open_converting`).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from stepflow_tui.engine.errors import Refused, StepFailed

BUSY_TIMEOUT_MS = 5_000
"""How long a read waits for a writer of a rollback-journal file."""

SUFFIXES = ("-wal", "-journal", "-shm")
"""Side files of a database: named after it, moved with it."""


_TOUCH = "select 1 from sqlite_schema limit 1"


class Text(bytes):
    """A TEXT value as its UTF-8 bytes, so that it can be told from a BLOB and invalid UTF-8 survives."""


def file_uri(path: str | os.PathLike[str], *parameters: str) -> str:
    """A `file:` URI for any path: every byte outside `A-Za-z0-9_.-~/` is percent-encoded, so `?`, `#`, `%` stay in the name.

    Args:
        path: absolute or relative; bytes that are not UTF-8 arrive as surrogate escapes.
        parameters: `key=value` parts of the query.
    """
    raw = os.fsencode(os.path.abspath(path))  # noqa: PTH100 - pathlib would fold a leading "//"
    return f"file://{quote(raw, safe='/')}?{'&'.join(parameters)}"


def open_frozen(path: str | os.PathLike[str], *, exact_rows: bool = False) -> sqlite3.Connection:
    """Open a file of ours that can't change any more: no locks, no side files, usable from any thread.

    Args:
        path: the backup or snapshot.
        exact_rows: TEXT arrives as `Text` (bytes) instead of `str`.

    Raises:
        sqlite3.Error: the file can't be opened or is no database.
    """
    return _open(file_uri(path, "mode=ro", "immutable=1"), exact_rows=exact_rows, busy_timeout_ms=0)


def open_living(
    path: str | os.PathLike[str],
    *,
    exact_rows: bool = False,
    immutable: bool = False,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
) -> sqlite3.Connection:
    """Open an application's file for reading. Closing it neither checkpoints nor removes `-wal`.

    Args:
        path: the real path (symlinks resolved: side files are named after it).
        exact_rows: TEXT arrives as `Text` (bytes) instead of `str`.
        immutable: only where the folder can't be written and `-wal` is absent or empty; `examine` decides.
        busy_timeout_ms: how long to wait for a writer.

    Raises:
        sqlite3.Error: hot journal, no database, encrypted, locked, or unreadable.
    """
    parameters = ("mode=ro", "immutable=1") if immutable else ("mode=ro",)
    return _open(file_uri(path, *parameters), exact_rows=exact_rows, busy_timeout_ms=busy_timeout_ms)


def open_own(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """Open a file of StepFlow's own for writing (a backup being made, a copy being recovered)."""
    conn = _connect(file_uri(path, "mode=rw"))
    try:
        set_pragma(conn, "trusted_schema", 0)
        set_pragma(conn, "cell_size_check", 1)
        set_pragma(conn, "mmap_size", 0)
        _load_schema(conn)
    except BaseException:
        conn.close()
        raise
    return conn


def open_application(path: str | os.PathLike[str], *, busy_timeout_ms: int = 200) -> sqlite3.Connection:
    """Open an application's file for writing, as a good neighbour: no checkpoint while it is open, foreign keys off, the
    journal mode left as it is. (Whoever closes a WAL database last moves its WAL into the file; nobody else has it then.)

    Args:
        path: the real path (symlinks resolved: side files are named after it).
        busy_timeout_ms: how long one lock is waited for. Short: in rollback-journal mode a waiting commit keeps new
            readers out.

    Raises:
        sqlite3.Error: hot journal, no database, encrypted, locked, or read-only.
        Refused: `source_schema_unreadable`: the schema holds an entry that SQLite can't parse, so nothing can be written.
    """
    conn = _connect(file_uri(path, "mode=rw"))
    try:
        set_pragma(conn, "busy_timeout", busy_timeout_ms)
        _refuse_malformed(conn, path)
        set_pragma(conn, "wal_autocheckpoint", 0)
        set_pragma(conn, "foreign_keys", 0)
        set_pragma(conn, "synchronous", 2)
        set_pragma(conn, "mmap_size", 0)
    except BaseException:
        conn.close()
        raise
    return conn


def open_converting(path: str | os.PathLike[str], *, busy_timeout_ms: int) -> sqlite3.Connection:
    """Open an application's file to change its journal mode or layout. A hot journal is rolled back by SQLite, as the
    application's own next connection would do it; entries of the schema that can't be parsed are left out.

    Args:
        path: the real path (symlinks resolved: side files are named after it).
        busy_timeout_ms: how long others are waited for. Short: whoever waits for readers keeps new ones out.

    Raises:
        sqlite3.Error: no database, encrypted, kept out, I/O.
    """
    conn = _connect(file_uri(path, "mode=rw"))
    try:
        set_pragma(conn, "busy_timeout", busy_timeout_ms)
        set_pragma(conn, "synchronous", 2)
        set_pragma(conn, "trusted_schema", 0)
        set_pragma(conn, "mmap_size", 0)
        _load_schema(conn)
    except BaseException:
        conn.close()
        raise
    return conn


def _refuse_malformed(conn: sqlite3.Connection, path: str | os.PathLike[str]) -> None:
    problem = _schema_problem(conn)
    if problem is not None:
        raise Refused(
            f"The schema of {shown(path)} can't be read as a whole, so nothing can be written to it.",
            detail=problem,
            hint="Mend or drop the entry it names with the application's own SQLite, then run again.",
            code="source_schema_unreadable",
        )


def _connect(uri: str) -> sqlite3.Connection:
    # No implicit transactions: a read that silently stays open would hold back checkpoints or block writers.
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=0)


def _open(uri: str, *, exact_rows: bool, busy_timeout_ms: int) -> sqlite3.Connection:
    conn = _connect(uri)
    try:
        set_pragma(conn, "busy_timeout", busy_timeout_ms)
        set_pragma(conn, "query_only", 1)
        set_pragma(conn, "trusted_schema", 0)
        set_pragma(conn, "cell_size_check", 1)
        set_pragma(conn, "mmap_size", 0)
        _load_schema(conn)
    except BaseException:
        conn.close()
        raise
    if exact_rows:
        conn.text_factory = Text
    return conn


def set_pragma(conn: sqlite3.Connection, pragma: str, value: int) -> None:
    """Set a pragma and read it back: SQLite accepts misspelt and unsupported ones without a word."""
    conn.execute(f"PRAGMA {pragma}={value}").fetchall()
    row = conn.execute(f"PRAGMA {pragma}").fetchone()
    # A library built without memory mapping answers nothing, which means 0.
    if (row[0] if row else 0) != value:
        raise StepFailed(
            f"SQLite did not accept the setting {pragma}={value}.",
            detail=f"it answers {row[0] if row else 'nothing'}; library {sqlite3.sqlite_version}",
            hint="Use a Python whose SQLite library is 3.31 or newer.",
            code="sqlite_setting_refused",
        )


def _load_schema(conn: sqlite3.Connection) -> None:
    """Make SQLite read the schema now. Entries it can't parse (syntax of a newer version, a damaged view) are left out.

    Without `writable_schema` one such entry makes every statement fail; with it SQLite goes on with the rest. Nothing
    can be written through this connection anyway. The first statement after it still reports the entry.

    Entries that are only distrusted (JSON functions in generated columns, in SQLite 3.40) must not be stepped over: their
    values would read as NULL, silently. Trusting them is harmless here: the connection registers no functions and loads
    no extension, so nothing but built-in ones can be called.
    """
    problem = _schema_problem(conn)
    if problem is not None and "unsafe use of" in problem:
        set_pragma(conn, "trusted_schema", 1)
        problem = _schema_problem(conn)
    if problem is None:
        return
    set_pragma(conn, "writable_schema", 1)
    with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
        conn.execute(_TOUCH).fetchall()
    conn.execute(_TOUCH).fetchall()


def _schema_problem(conn: sqlite3.Connection) -> str | None:
    """What SQLite says about an entry it can't parse, None when it reads them all."""
    try:
        conn.execute(_TOUCH).fetchall()
    except UnicodeDecodeError:  # the message itself quotes a name that is not UTF-8
        return "a name that is not UTF-8"
    except sqlite3.DatabaseError as error:
        if "malformed database schema" not in str(error):
            raise
        return str(error)
    return None


def real_path(path: str | os.PathLike[str]) -> Path:
    """The path with all symlinks resolved: locks, backup, side files and report all name this one."""
    return Path(os.path.realpath(path))


def side_file(path: Path, suffix: str) -> Path:
    """`shop.db` + `-wal` → `shop.db-wal`."""
    return path.with_name(path.name + suffix)


def shown(path: str | os.PathLike[str]) -> str:
    """A path for people and JSON: bytes that are not UTF-8 appear as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")

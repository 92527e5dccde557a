"""The child process that reads a database's content: every stored value of every table, into one digest per table.

TEXT arrives as `bytearray` and BLOB as `bytes`, so the storage class is in what is hashed, and text that is not UTF-8 is
exact. A row is hashed as Python writes it: exact for integers and floats, and it tells where each value ends.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from stepflow_tui.engine.sqlite.connect import open_frozen, open_living, shown
from stepflow_tui.engine.sqlite.content_sql import Reading, reading_of
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

BIG = 64 * 1024
"""Bytes of a value above which its own digest stands for it."""

_BATCH = 1000
_BATCH_BYTES = 4 * 1024 * 1024
_REPORT_SECONDS = 0.2

SLICE_SECONDS = 0.02
"""How long a slice of a rollback-journal file may keep writers from committing, about."""

Row = tuple[Any, ...]


@dataclass(slots=True)
class Digest:
    """The digest of a table in the making."""

    table: str
    emit: Emit
    rows: int = 0
    _hash: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=32))
    _told: float = field(default_factory=time.monotonic)

    def add(self, rows: list[Row]) -> int:
        """Take rows in; returns how many characters they came to."""
        if any(v.__class__ in (bytes, bytearray) and len(v) > BIG for row in rows for v in row):
            rows = [tuple(_small(v) for v in row) for row in rows]
        text = "".join(map(repr, rows))
        self._hash.update(text.encode("ascii"))
        self.rows += len(rows)
        if (now := time.monotonic()) - self._told > _REPORT_SECONDS:
            self._told = now
            self.emit({"table": self.table, "rows": self.rows})
        return len(text)

    @property
    def facts(self) -> dict[str, Any]:
        """As `TableContent`."""
        return {"rows": self.rows, "digest": self._hash.hexdigest()}


def _small(value: Any) -> Any:
    """A tuple, which no value is, for one that is too long to be written out."""
    if value.__class__ in (bytes, bytearray) and len(value) > BIG:
        return (value.__class__.__name__, len(value), hashlib.blake2b(value, digest_size=32).hexdigest())
    return value


def handle(request: dict[str, Any], emit: Emit) -> Any:
    """The facts of `content.Content`."""
    path = text_path(request["path"])
    opened = open_frozen if request["frozen"] else open_living
    with sqlite_errors(f"The content of {shown(path)}"), closing(opened(path)) as conn:
        conn.text_factory = bytearray
        [mode] = conn.execute("PRAGMA journal_mode").fetchone()
        if request["frozen"] or bytes(mode) == b"wal":
            conn.execute("BEGIN")
            return read(conn, emit, sliced=False)
        return read(conn, emit, sliced=True)


def read(conn: sqlite3.Connection, emit: Emit, *, sliced: bool) -> dict[str, Any]:
    """All tables.

    Args:
        sliced: let go of the file between slices; else the caller holds a transaction.
    """
    version = _version(conn)
    schema = hashlib.blake2b(digest_size=32)
    # statistics are SQLite's own affair: ANALYZE may come at any time
    for row in conn.execute(
        "select type, name, tbl_name, sql from sqlite_schema where name not like 'sqlite\\_stat%' escape '\\'"
        " and tbl_name not like 'sqlite\\_stat%' escape '\\' order by 1, 2, 3, 4"
    ):
        schema.update(repr(row).encode("ascii"))
    facts: dict[str, Any] = {"tables": {}, "schema_digest": schema.hexdigest(), "unread": {}, "changed": False}
    for raw in _tables(conn):
        name = raw.decode("utf-8", "backslashreplace")
        try:
            facts["tables"][name] = _table(conn, raw.decode("utf-8"), emit, sliced=sliced)
        except (sqlite3.DatabaseError, UnicodeDecodeError, ValueError, OverflowError, MemoryError) as error:
            if isinstance(error, sqlite3.DatabaseError) and _is_grave(error):
                raise
            facts["unread"][name] = str(error) or type(error).__name__
    facts["changed"] = _version(conn) != version
    return facts


def _version(conn: sqlite3.Connection) -> int:
    return int(conn.execute("PRAGMA data_version").fetchone()[0])


def _tables(conn: sqlite3.Connection) -> list[bytes]:
    rows = conn.execute(
        "select name from sqlite_schema where type='table' and rootpage>0"
        " and (name not like 'sqlite\\_%' escape '\\' or name='sqlite_sequence') order by name"
    )
    return [bytes(name) for (name,) in rows]


def _is_grave(error: sqlite3.DatabaseError) -> bool:
    """Damage, I/O, or kept out: not a matter of one table."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return name.startswith(
        ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_NOMEM")
    )


def _table(conn: sqlite3.Connection, name: str, emit: Emit, *, sliced: bool) -> dict[str, Any]:
    reading = reading_of(conn, name)
    if sliced and reading.key:
        with suppress(UnicodeDecodeError):  # of a key: what is left to do is one long read
            return _take(Digest(name, emit), _slices(conn, reading))
    return _take(Digest(name, emit), _batches(conn, reading))


def _take(digest: Digest, batches: Iterator[list[Row]]) -> dict[str, Any]:
    for rows in batches:
        digest.add(rows)
    return digest.facts


def _batches(conn: sqlite3.Connection, reading: Reading) -> Iterator[list[Row]]:
    cursor = conn.execute(reading.whole)
    size = 8
    while rows := cursor.fetchmany(size):
        yield rows
        size = _next_size(size, rows)


def _next_size(size: int, rows: list[Row]) -> int:
    """Grow from few rows, since nobody knows how long their values are."""
    longest = max(sum(len(v) for v in row if v.__class__ in (bytes, bytearray)) for row in rows[-8:])
    return max(1, min(_BATCH, 2 * size, _BATCH_BYTES // (longest + 1)))


def _slices(conn: sqlite3.Connection, reading: Reading) -> Iterator[list[Row]]:
    size, after = 16, ()
    while True:
        began = time.monotonic()
        rows = conn.execute(reading.slice(after=bool(after)), (*after, size)).fetchall()
        took = time.monotonic() - began
        if not rows:
            return
        yield rows
        if len(rows) < size:
            return
        after = reading.key_of(rows[-1])
        size = max(1, min(4 * size, _BATCH * 20, int(size * SLICE_SECONDS / max(took, 1e-6))))


if __name__ == "__main__":
    serve(handle)

"""The child process that looks at a source: header and side files by `open()`, then once through SQLite. Changes nothing."""

from __future__ import annotations

import hashlib
import math
import os
import sqlite3
import stat
import time
from collections import Counter
from pathlib import Path
from typing import Any

from stepflow_tui.engine.sqlite.connect import file_uri, open_living, side_file
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

MAGIC = b"SQLite format 3\x00"
_SAMPLE_BYTES = 65_536
_BLOCK = 4 * 1024 * 1024
_SHORT_WAIT_MS = 5
_KEPT_OUT = ("SQLITE_BUSY", "SQLITE_BUSY_RECOVERY", "SQLITE_LOCKED")

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"** This file contains an SQLite 2", "a SQLite 2 database"),
    (b"\x37\x7f\x06\x82", "a SQLite -wal file"),
    (b"\x37\x7f\x06\x83", "a SQLite -wal file"),
    (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", "a SQLite rollback journal"),
    (b"PGDMP", "a PostgreSQL dump"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x00\x01\x00\x00Standard ", "a Microsoft Access database"),
    (b"PRAGMA foreign_keys=OFF", "a SQL dump"),
    (b"BEGIN TRANSACTION", "a SQL dump"),
    (b"{", "a JSON file"),
    (b"[", "a JSON file"),
)


def handle(request: dict[str, Any], emit: Emit) -> Any:
    """Dispatch one request: `examine`, `fingerprint` or `sha256`."""
    path = text_path(request["path"])
    if request["op"] == "examine":
        return {**look(path), "sqlite": None} if request.get("raw_only") else examine(path, request)
    if request["op"] == "fingerprint":
        return look(path)
    return digest(path, emit)


def look(path: Path) -> dict[str, Any]:
    """Facts about the file and its side files, read by `open()`; `problem` is set when there is nothing to read."""
    try:
        status = path.stat()
    except OSError as error:
        return {"problem": "missing" if isinstance(error, (FileNotFoundError, NotADirectoryError)) else "unreadable",
                "detail": error.strerror or str(error)}  # fmt: skip
    facts: dict[str, Any] = {"dev": status.st_dev, "inode": status.st_ino, "size": status.st_size, "mtime_ns": status.st_mtime_ns,
                             "links": status.st_nlink, "uid": status.st_uid}  # fmt: skip
    if stat.S_ISDIR(status.st_mode):
        return {**facts, "problem": "directory"}
    if not stat.S_ISREG(status.st_mode):
        return {**facts, "problem": "not_regular", "detail": _kind(status.st_mode)}
    try:
        return {**facts, **_read_main(path), "wal": _side(path, "-wal", 32), "journal": _side(path, "-journal", 28)}
    except OSError as error:
        return {**facts, "problem": "unreadable", "detail": error.strerror or str(error)}


def _kind(mode: int) -> str:
    tests = (
        (stat.S_ISFIFO, "FIFO"),
        (stat.S_ISCHR, "character device"),
        (stat.S_ISBLK, "block device"),
        (stat.S_ISSOCK, "socket"),
    )
    return next((name for test, name in tests if test(mode)), "special file")


def _read_main(path: Path) -> dict[str, Any]:
    # O_NONBLOCK: had the name become a FIFO since the stat, opening it would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return {"problem": "not_regular", "detail": "it was replaced while it was being looked at"}
        sample = file.read(_SAMPLE_BYTES)
    facts: dict[str, Any] = {"header": sample[:100].hex(), "guess": _guess(sample)}
    return {**facts, "entropy": entropy(sample[:4096])}


def _side(path: Path, suffix: str, head: int) -> dict[str, Any]:
    """Size and first bytes of a side file; absent and empty are the same: nothing in it belongs to the database."""
    side = side_file(path, suffix)
    try:
        descriptor = os.open(side, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            start = file.read(head)
    except FileNotFoundError:
        return {"size": 0, "mtime_ns": 0, "head": ""}
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns if status.st_size else 0, "head": start.hex()}


def _guess(sample: bytes) -> str:
    binary = b"\x00" in sample
    start = sample.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, name in _SIGNATURES:
        # one letter tells a sort of text; in binary data it stands there by chance
        if not binary and start.startswith(magic) if len(magic) == 1 else sample.startswith(magic):
            return name
    if binary:
        return "binary data"
    return "text" if sample else ""


def entropy(sample: bytes) -> float:
    """Bits per byte; encrypted and compressed data have nearly 8 (4 KiB of random bytes: 7.94 to 7.97)."""
    total = len(sample)
    if not total:
        return 0.0
    return -sum(n / total * math.log2(n / total) for n in Counter(sample).values())


def examine(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """`look`, and if it has the header of a database, what SQLite itself says when it opens it read-only."""
    facts = look(path)
    header = bytes.fromhex(facts.get("header", ""))
    facts["sqlite"] = None
    if facts.get("problem") or not header.startswith(MAGIC) or len(header) < 100:
        return facts
    live_wal = facts["wal"]["size"] > 0
    read_only = not os.access(path.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
    facts["folder_read_only"] = read_only
    if read_only and live_wal:
        return facts
    # A file in rollback mode needs no side file to be read, so its locks can be honoured even in a read-only folder.
    immutable = header[19] == 2 and (read_only or bool(request.get("resting")))
    answer = ask_sqlite(path, immutable, int(request["busy_timeout_ms"]))
    if immutable and "error" not in answer:
        answer["journal_mode"] = "wal"  # an immutable file is never in WAL mode, says SQLite; its header does
    facts["sqlite"] = {**answer, "immutable": immutable}
    return facts


def ask_sqlite(path: Path, immutable: bool, busy_timeout_ms: int) -> dict[str, Any]:
    """Open, read the schema's root, close. Errors are reported by SQLite's own names.

    Many short waits find the gap between two commits of a busy writer, which SQLite's own tries, up to 100 ms apart, miss.
    """
    until = time.monotonic() + busy_timeout_ms / 1000
    while True:
        answer = _answer(path, immutable, min(_SHORT_WAIT_MS, busy_timeout_ms))
        if answer.get("error") not in _KEPT_OUT or time.monotonic() >= until:
            return answer


def _answer(path: Path, immutable: bool, busy_timeout_ms: int) -> dict[str, Any]:
    try:
        conn = open_living(path, immutable=immutable, busy_timeout_ms=busy_timeout_ms)
    except sqlite3.Error as error:
        return _error(error)
    try:
        objects = conn.execute(
            "select count(*), coalesce(sum(type='table' and name not like 'sqlite\\_%' escape '\\'),0) from sqlite_schema"
        )
        count, tables = objects.fetchone()
        [mode], [encoding] = conn.execute("PRAGMA journal_mode").fetchone(), conn.execute("PRAGMA encoding").fetchone()
        [tolerant] = conn.execute("PRAGMA writable_schema").fetchone()
    except sqlite3.Error as error:
        return _error(error)
    finally:
        conn.close()
    schema_error = _schema_error(path, immutable) if tolerant else ""
    return {
        "objects": count,
        "tables": tables,
        "journal_mode": mode,
        "encoding": encoding,
        "schema_error": schema_error,
    }


def _schema_error(path: Path, immutable: bool) -> str:
    conn = sqlite3.connect(file_uri(path, "mode=ro", *(("immutable=1",) if immutable else ())), uri=True)
    try:
        conn.execute("select 1 from sqlite_schema limit 1").fetchall()
    except sqlite3.Error as error:
        return str(error)
    finally:
        conn.close()
    return ""


def _error(error: sqlite3.Error) -> dict[str, Any]:
    return {"error": getattr(error, "sqlite_errorname", None) or type(error).__name__, "message": str(error)}


def digest(path: Path, emit: Emit) -> dict[str, Any]:
    """SHA-256 over main file, -wal and -journal; without side files it is that of the file itself."""
    total = hashlib.sha256()
    size = 0
    for suffix in ("", "-wal", "-journal"):
        part = side_file(path, suffix) if suffix else path
        if suffix and (not part.exists() or part.stat().st_size == 0):
            continue
        if suffix:
            total.update(b"\x00" + suffix.encode() + b"\x00")
        with part.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                total.update(block)
                size += len(block)
                emit({"bytes": size})
    return {"sha256": total.hexdigest(), "bytes": size}


if __name__ == "__main__":
    serve(handle)

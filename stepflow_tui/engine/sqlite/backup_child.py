"""The child process for files of ours: tests a backup, seals it, recovers a copy of a crashed source, copies a file."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import Refused, StepFailed
from stepflow_tui.engine.sqlite.connect import SUFFIXES, open_frozen, open_living, open_own, side_file
from stepflow_tui.engine.sqlite.integrity import check_foreign_keys, check_integrity
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.probe_child import look
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

_BLOCK = 4 * 1024 * 1024


def handle(request: dict[str, Any], emit: Emit) -> Any:
    """Dispatch one request: `test`, `seal`, `recover` or `copy`."""
    path = text_path(request["path"])
    if request["op"] == "test":
        return test(path, living=request.get("living", False))
    if request["op"] == "seal":
        return seal(path)
    copy = text_path(request["copy"])
    return recover(path, copy, emit) if request["op"] == "recover" else copy_whole(path, copy, emit)


def test(path: Path, *, living: bool) -> dict[str, Any]:
    """Open the backup as a restored database would be, and check all of it."""
    with sqlite_errors(f"The test of {path}"):
        conn = open_living(path) if living else _open_for_test(path)
        try:
            found = check_integrity(conn)
            keys = [] if found["damage"] else check_foreign_keys(conn)
        finally:
            conn.close()
    return {**found, "foreign_keys": keys}


def _open_for_test(path: Path) -> sqlite3.Connection:
    """SQLite forgets CHECK constraints of files it opens read-only, so it is told that it may write, and then not to."""
    if not os.access(path, os.W_OK):
        return open_frozen(path)
    conn = open_own(path)
    conn.execute("PRAGMA query_only=1").fetchall()
    return conn


def seal(path: Path) -> dict[str, Any]:
    """Make a finished database a single file that stays what it is: no WAL mode, no side files, on the disk, hashed."""
    with sqlite_errors(f"The backup {path}"):
        _to_rollback_mode(path)
        for suffix in SUFFIXES:
            side_file(path, suffix).unlink(missing_ok=True)
        digest = hashlib.sha256()
        with path.open("rb+", buffering=0) as file:
            os.fchmod(file.fileno(), 0o600)
            os.fsync(file.fileno())
            while block := file.read(_BLOCK):
                digest.update(block)
            size = file.tell()
        sync_folder(path.parent)
    return {"sha256": digest.hexdigest(), "bytes": size}


def _to_rollback_mode(path: Path) -> None:
    conn = open_own(path)
    try:
        [mode] = conn.execute("PRAGMA journal_mode=delete").fetchone()
    finally:
        conn.close()
    if mode != "delete":
        raise StepFailed(
            f"The backup {path} stayed in journal mode {mode}.", hint="Run again.", code="backup_not_sealed"
        )


def recover(path: Path, copy: Path, emit: Emit) -> dict[str, Any]:
    """Copy database and journal together, then open the copy for writing: SQLite rolls the journal back."""
    before = look(path)
    _clear(copy)
    with sqlite_errors(f"The recovered copy {copy}"):
        try:
            for suffix in ("", "-journal"):
                _stream(side_file(path, suffix) if suffix else path, side_file(copy, suffix) if suffix else copy, emit)
            _same_or_refuse(path, before)
            conn = open_own(copy)
            try:
                conn.execute("select count(*) from sqlite_schema").fetchall()
            finally:
                conn.close()
        except BaseException:
            _clear(copy)
            raise
    return seal(copy)


def _same_or_refuse(path: Path, before: dict[str, Any]) -> None:
    if look(path) != before:
        raise Refused(
            f"The source {path} changed while it was being copied.",
            detail="another process recovered or wrote it",
            hint="Stop the application, then run again.",
            code="source_changed",
        )


def copy_whole(path: Path, copy: Path, emit: Emit) -> dict[str, Any]:
    """Copy one file byte for byte, on the disk when it returns; 0600 until the caller says otherwise."""
    with sqlite_errors(f"The copy {copy}"):
        try:
            digest, size = _stream(path, copy, emit)
            sync_folder(copy.parent)
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
    return {"sha256": digest, "bytes": size}


def _stream(path: Path, copy: Path, emit: Emit) -> tuple[str, int]:
    digest = hashlib.sha256()
    descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with path.open("rb", buffering=0) as source, os.fdopen(descriptor, "wb", buffering=0) as target:
        size = 0
        while block := source.read(_BLOCK):
            digest.update(block)
            view = memoryview(block)
            while view:
                view = view[target.write(view) :]
            size += len(block)
            emit({"bytes": size})
        os.fsync(descriptor)
    return digest.hexdigest(), size


def _clear(copy: Path) -> None:
    for name in (copy, *(side_file(copy, suffix) for suffix in SUFFIXES)):
        name.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put the folder's entries on the disk; file systems that can't are left to themselves."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    serve(handle)

"""The child process that tells a database's journal mode, by its header, its side files and a fresh read-only connection,
and whether it is sound."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

from stepflow_tui.engine.sqlite.connect import open_converting, open_living, shown, side_file
from stepflow_tui.engine.sqlite.integrity import check_integrity
from stepflow_tui.engine.sqlite.mapping import mapped, sqlite_errors
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

_AUTO_VACUUM = ("none", "full", "incremental")
_UNKNOWN_NOW = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_READONLY")
"""Kept out by somebody, or a hot journal that a read-only connection can't roll back: the file is not at fault."""


def handle(request: dict[str, Any], _emit: Emit) -> Any:
    """Dispatch one request: `mode`, `room` or `integrity`."""
    path = text_path(request["path"])
    if request["op"] == "room":
        return room(path)
    if request["op"] == "mode":
        return look(path, busy_timeout_ms=int(request["busy_timeout_ms"]))
    return integrity(path)


def look(path: Path, *, busy_timeout_ms: int) -> dict[str, Any]:
    """The facts of `mode.ModeFacts`. The header is read first: afterwards this process holds a connection."""
    with sqlite_errors(f"The journal mode of {shown(path)}"):
        status = path.stat()
        with path.open("rb", buffering=0) as file:
            head = file.read(100).ljust(100, b"\x00")
        answer = _ask(path, busy_timeout_ms)
    page_size, write_version, read_version = struct.unpack_from(">HBB", head, 16)
    return {
        "mode": "", "problem": "", "page_size": 65_536 if page_size == 1 else page_size,
        "auto_vacuum": _auto_vacuum(head), **answer,
        "header": [write_version, read_version], "change_counter": struct.unpack_from(">I", head, 24)[0],
        "wal_bytes": _size(side_file(path, "-wal")), "shm_bytes": _size(side_file(path, "-shm")),
        "journal_bytes": _size(side_file(path, "-journal")), "dev": status.st_dev, "inode": status.st_ino,
    }  # fmt: skip


def room(path: Path) -> dict[str, int]:
    """`grows`: bytes by which the file grows when all of its pages stand in it; `page_size`."""
    with sqlite_errors(f"The size of {shown(path)}"), closing(open_living(path)) as conn:
        [pages] = conn.execute("PRAGMA page_count").fetchone()
        [page_size] = conn.execute("PRAGMA page_size").fetchone()
    return {"grows": max(0, pages * page_size - (_size(path) or 0)), "page_size": page_size}


def _ask(path: Path, busy_timeout_ms: int) -> dict[str, Any]:
    try:
        with closing(open_living(path, busy_timeout_ms=busy_timeout_ms)) as conn:
            [mode] = conn.execute("PRAGMA journal_mode").fetchone()
            [page_size] = conn.execute("PRAGMA page_size").fetchone()
            [auto_vacuum] = conn.execute("PRAGMA auto_vacuum").fetchone()
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None) or ""
        if not name.startswith(_UNKNOWN_NOW):
            raise
        return {"problem": name}
    return {"mode": mode, "page_size": page_size, "auto_vacuum": _AUTO_VACUUM[auto_vacuum]}


def _auto_vacuum(head: bytes) -> str:
    """By the header: the largest root page is zero without auto-vacuum, the next flag tells an incremental one."""
    if not struct.unpack_from(">I", head, 52)[0]:
        return "none"
    return "incremental" if struct.unpack_from(">I", head, 64)[0] else "full"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def integrity(path: Path) -> dict[str, Any]:
    """`ok`, or what is wrong. A journal that a failure left behind is rolled back first, as the application's next
    connection would do it."""
    try:
        with closing(open_converting(path, busy_timeout_ms=5_000)) as conn:
            conn.execute("PRAGMA query_only=1").fetchall()
            found = check_integrity(conn)
    except sqlite3.Error as error:
        return {"answer": f"not checked: {mapped(error, 'it').detail}"}
    problems = [*found["damage"], *found["indexes"]]
    return {"answer": "; ".join(problems[:3]) if problems else "ok"}


if __name__ == "__main__":
    serve(handle)

"""The child process behind the WAL panel: reads the write-ahead log's index and the system's lock table, once per interval.

It opens the database's files by `open()` and closes them again, so it must never hold a SQLite connection: closing a
descriptor drops every POSIX lock its process holds on that file. It takes no lock itself and changes nothing.

Layout of the index (`-shm`, first 136 bytes, native byte order): https://www.sqlite.org/walformat.html, section 2.1.
"""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.engine.sqlite.holders import PROC, command_of
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

INDEX_BYTES = 136
READ_LOCK = 123
"""Byte of the first of the five read marks' locks."""
MARKS = 5
_UNUSED = 0xFFFFFFFF
_TRIES = 5
"""A writer updates the header's two copies one after the other; a reader between them looks again."""

_LOCK = re.compile(r"\d+: POSIX +\S+ +READ +(\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) (\d+) (\d+)")
"""A lock that is held (one that is waited for has `->` before its type)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What the index tells: frames in the log, frames already in the database, and where its five read marks stand."""

    frames: int
    checkpointed: int
    marks: tuple[int, ...]


def handle(request: dict[str, Any], emit: Emit) -> Any:
    """Emit a look at the database every `every` seconds, until the parent is gone."""
    path = text_path(request["path"])
    while True:
        emit(look(path))
        time.sleep(request["every"])


def look(path: Path, *, proc: Path = PROC) -> dict[str, Any]:
    """The state of a database's write-ahead log.

    Args:
        path: the real path.
        proc: where the system's tables are (tests give another).

    Returns:
        `mode` is wal, rollback, missing or unreadable; `bytes` the size of `-wal`; `frames` and `checkpointed` are None where
        the index can't be read; `readers` are those that keep frames from being checkpointed, as `pid`, `slot`, `mark` and
        `command`, None where the system tells no locks.
    """
    try:
        head = _head(path, 20)[0]
    except FileNotFoundError:
        return _facts("missing")
    except OSError:
        return _facts("unreadable")
    if len(head) < 20 or head[19] != 2:
        return _facts("rollback", frames=0, checkpointed=0, readers=[])
    size = _size(_side(path, b"-wal"))
    if size == 0:
        return _facts("wal", frames=0, checkpointed=0, readers=[])
    index, names = _index(_side(path, b"-shm"))
    if index is None:
        return _facts("wal", size=size)
    holders = _held(names, proc)
    readers = None if holders is None else pinning(index, holders)
    named = readers and [{**r, "command": command_of(proc / str(r["pid"]))} for r in readers]
    return _facts("wal", size=size, frames=index.frames, checkpointed=index.checkpointed, readers=named)


def parse_index(data: bytes) -> Index | None:
    """The index in these bytes; None while it is not set up, or half written."""
    if len(data) < INDEX_BYTES or data[:48] != data[48:96] or not data[12]:
        return None
    (frames,) = struct.unpack_from("=I", data, 16)
    checkpointed, *marks = struct.unpack_from("=6I", data, 96)
    return Index(frames=frames, checkpointed=checkpointed, marks=tuple(marks))


def held_slots(table: str, names: Iterable[str], inode: int) -> list[tuple[int, int]]:
    """Process and read mark of every shared lock on an index, by the text of `/proc/locks`.

    Args:
        names: the file's device as `major:minor` in hexadecimal; a file may have several.
    """
    wanted = set(names)
    found = []
    for pid, device, number, first, last in _LOCK.findall(table):
        if device in wanted and int(number) == inode:
            slots = range(max(int(first), READ_LOCK), min(int(last), READ_LOCK + MARKS - 1) + 1)
            found += [(int(pid), slot - READ_LOCK) for slot in slots]
    return sorted(found)


def pinning(index: Index, held: Iterable[tuple[int, int]]) -> list[dict[str, Any]]:
    """Those readers that hold back frames: a checkpoint can't pass their mark.

    A reader of mark 0 reads the database file alone, so nothing can be written into it while frames are outstanding.
    """
    found = []
    for pid, slot in held:
        mark = index.checkpointed if slot == 0 else index.marks[slot]
        if mark != _UNUSED and mark < index.frames:
            found.append({"pid": pid, "slot": slot, "mark": mark})
    return found


def _facts(
    mode: str,
    *,
    size: int = 0,
    frames: int | None = None,
    checkpointed: int | None = None,
    readers: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {"mode": mode, "bytes": size, "frames": frames, "checkpointed": checkpointed, "readers": readers}


def _side(path: Path, suffix: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(path) + suffix))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _head(path: Path, count: int) -> tuple[bytes, tuple[set[str], int]]:
    """The first bytes of a file, and how the lock table names it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, count, 0), _names(descriptor)
    finally:
        os.close(descriptor)


def _index(path: Path) -> tuple[Index | None, tuple[set[str], int]]:
    names: tuple[set[str], int] = (set(), 0)
    for _ in range(_TRIES):
        try:
            data, names = _head(path, INDEX_BYTES)
        except OSError:
            return None, names
        if (index := parse_index(data)) is not None:
            return index, names
    return None, names


def _names(descriptor: int) -> tuple[set[str], int]:
    """Devices and inode. Some file systems (btrfs, overlays) show another device in `stat` than in the lock table."""
    facts = os.fstat(descriptor)
    found = {f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}"}
    try:
        info = (PROC / "self" / "fdinfo" / str(descriptor)).read_text("ascii")
        mount = re.search(r"^mnt_id:\s*(\d+)", info, re.MULTILINE)
        table = (PROC / "self" / "mountinfo").read_text("utf-8", "surrogateescape")
        if mount and (row := re.search(rf"^{mount[1]} \d+ (\d+):(\d+) ", table, re.MULTILINE)):
            found.add(f"{int(row[1]):02x}:{int(row[2]):02x}")
    except OSError:
        return found, facts.st_ino
    return found, facts.st_ino


def _held(names: tuple[set[str], int], proc: Path) -> list[tuple[int, int]] | None:
    try:
        table = (proc / "locks").read_text("ascii")
    except OSError:
        return None
    return held_slots(table, *names)


if __name__ == "__main__":
    serve(handle)

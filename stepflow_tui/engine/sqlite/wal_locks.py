"""Who holds which byte of a file, without taking a lock: by the system's table, and by asking about a byte (F_GETLK).

The table (`/proc/locks`) names every holder, but leaves out those outside this container (another pid namespace). Asking
about a byte names one holder only, as 0 where it is outside. For use in a process that holds no SQLite connection.
"""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.sqlite.holders import PROC
from stepflow_tui.engine.sqlite.wal_index import MARKS

WRITE_LOCK = 120
CHECKPOINT_LOCK = 121
READ_LOCK = 123
"""Bytes of the index: the writer's, the checkpointer's, and the first of the five read marks'."""
RESERVED_BYTE = 0x40000001
SHARED_FIRST = RESERVED_BYTE + 1
SHARED_SIZE = 510
"""Bytes of a database file in rollback mode: the writer's, and those that readers share."""

OUTSIDE = 0
"""Stands for a process that this one can't see: in another container, or on the host."""
UNNAMED = -1
"""Stands for a holder that the system keeps no process of (a lock of an open file description)."""

_END = sys.maxsize
_LOCK = re.compile(
    r"^\d+: (?:POSIX|OFDLCK) +\S+ +(READ|WRITE) +(-?\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) (\d+) (\d+|EOF)", re.MULTILINE
)
"""A lock that is held (one that is waited for has `->` before its kind)."""
_FLOCK = "hhqqi4x"
"""Linux's `struct flock`: type, whence, start, length, pid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """How the table names a file: its devices as `major:minor` in hexadecimal (a file may have several), and its inode."""

    devices: frozenset[str]
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock on a range of bytes; `pid` may be OUTSIDE or UNNAMED."""

    pid: int
    write: bool
    first: int
    last: int

    def covers(self, byte: int) -> bool:
        """Whether it is on this byte."""
        return self.first <= byte <= self.last


def table_of(proc: Path = PROC) -> str | None:
    """The system's lock table; None where there is none."""
    try:
        return (proc / "locks").read_text("ascii")
    except OSError:
        return None


def locks_in(table: str, name: Named) -> list[Lock]:
    """The locks on one file, by the text of the table."""
    return [
        Lock(pid=int(pid), write=kind == "WRITE", first=int(first), last=_END if last == "EOF" else int(last))
        for kind, pid, device, inode, first, last in _LOCK.findall(table)
        if int(inode) == name.inode and device in name.devices
    ]


def held_slots(locks: Iterable[Lock]) -> list[tuple[int, int]]:
    """Process and read mark of every shared lock on an index."""
    return sorted(
        (lock.pid, slot) for lock in locks if not lock.write for slot in range(MARKS) if lock.covers(READ_LOCK + slot)
    )


def asked_slots(descriptor: int) -> Iterator[tuple[int, int]]:
    """One holder of each read mark that is held for reading, by asking about its byte."""
    for slot in range(MARKS):
        holder = holder_of(descriptor, READ_LOCK + slot)
        if holder is not None and not holder.write:
            yield holder.pid, slot


def holder_of(descriptor: int, first: int, length: int = 1) -> Lock | None:
    """Who would be in the way of an exclusive lock on these bytes, None if nobody. Takes no lock; own locks don't count."""
    if sys.platform != "linux":
        return None
    import fcntl

    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, first, length, 0)
    try:
        kind, _, start, size, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    except OSError:  # a file system that has no such locks
        return None
    if kind == fcntl.F_UNLCK:
        return None
    return Lock(pid=pid, write=kind == fcntl.F_WRLCK, first=start, last=start + size - 1 if size else _END)


def name_of(descriptor: int) -> Named:
    """How the table names an open file. Some file systems (btrfs, overlays) show another device in `stat` than there."""
    facts = os.fstat(descriptor)
    found = {f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}"}
    try:
        info = (PROC / "self" / "fdinfo" / str(descriptor)).read_text("ascii")
        mount = re.search(r"^mnt_id:\s*(\d+)", info, re.MULTILINE)
        table = (PROC / "self" / "mountinfo").read_text("utf-8", "surrogateescape")
        if mount and (row := re.search(rf"^{mount[1]} \d+ (\d+):(\d+) ", table, re.MULTILINE)):
            found.add(f"{int(row[1]):02x}:{int(row[2]):02x}")
    except OSError:
        return Named(devices=frozenset(found), inode=facts.st_ino)
    return Named(devices=frozenset(found), inode=facts.st_ino)

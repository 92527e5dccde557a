"""Owns who stands in whose way on a database file: the locks SQLite takes on it, as the system's lock table lists them.

Nothing is opened but the table itself, so that no lock of this process can be lost by looking.
Lock bytes: https://www.sqlite.org/lockingv3.html and https://www.sqlite.org/walformat.html, section 2.3.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from stepflow_tui.engine.sqlite.connect import side_file
from stepflow_tui.engine.sqlite.holders import PROC, Holder, Holders, command_of, scan
from stepflow_tui.engine.sqlite.mounts import mount_of, parse_mountinfo

READING, WRITING, WAITING, EXCLUSIVE = "reading", "writing", "waiting to write", "exclusive"

_PENDING = 0x4000_0000
SHARED_FIRST, SHARED_BYTES = _PENDING + 2, 510
_SHARED_LAST = SHARED_FIRST + SHARED_BYTES - 1
_WAL_WRITE, _WAL_READ_FIRST, _WAL_READ_LAST = 120, 123, 127
_END_OF_FILE = 1 << 63
_STRENGTH = (EXCLUSIVE, WRITING, WAITING, READING)

_LOCK = re.compile(r"\d+: POSIX +\S+ +(READ|WRITE) +(-?\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) (\d+) (\d+|EOF)$")
"""A lock that is held (one that is waited for has `->` before its type)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLock:
    """The strongest lock one process holds on a database.

    `what`: reading, writing (the write lock of a WAL database), waiting to write (a write transaction of a rollback-journal
    database that has not reached the file yet), exclusive (nobody else can read or write).
    """

    pid: int
    command: str
    what: str

    @property
    def holder(self) -> str:
        """`pid 12 (python app.py)`."""
        return f"pid {self.pid} ({self.command})"

    @property
    def text(self) -> str:
        """`pid 12 (python app.py): reading`."""
        return f"{self.holder}: {self.what}"


def locks_on(path: Path, proc: Path = PROC) -> tuple[FileLock, ...] | None:
    """Who holds locks on a database now, by pid; None where the system doesn't tell.

    In a WAL database every connection keeps a shared lock on the main file; what it does shows in the index (`-shm`).

    Args:
        path: the real path.
        proc: where the system's tables are (tests give another).
    """
    try:
        table = (proc / "locks").read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    index = side_file(path, "-shm")
    found: dict[int, set[str]] = {}
    for pid, what in (*_main_locks(table, path, proc, wal=index.exists()), *_index_locks(table, index, proc)):
        found.setdefault(pid, set()).add(what)
    return tuple(
        FileLock(pid=pid, command=command_of(proc / str(pid)), what=next(s for s in _STRENGTH if s in held))
        for pid, held in sorted(found.items())
    )


async def users_of(path: Path, *, proc: Path = PROC) -> Holders:
    """Who has a database open; where processes of other users can't be looked at, also whoever holds a lock on it.

    Args:
        path: the real path.
        proc: where the system's tables are (tests give another).
    """
    return await asyncio.to_thread(_users, path, proc)


def _users(path: Path, proc: Path) -> Holders:
    holders = scan(path, proc)
    if holders.complete:
        return holders
    known = {holder.pid: holder for holder in holders.processes}
    for pid in _lockers(path, proc):
        known.setdefault(pid, Holder(pid=pid, command=command_of(proc / str(pid))))
    return replace(holders, processes=tuple(known[pid] for pid in sorted(known)))


def _lockers(path: Path, proc: Path) -> set[int]:
    """Everybody but us with any lock: a connection in WAL mode keeps one on the file for as long as it is open."""
    try:
        table = (proc / "locks").read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return set()
    files = (path, side_file(path, "-shm"))
    return {pid for file in files for _, pid, _, _ in _rows(table, file, proc)} - {os.getpid()}


async def exclusive_holders(
    path: Path, *, looks: int = 5, every: float = 0.1, proc: Path = PROC
) -> tuple[FileLock, ...]:
    """Those that hold the file exclusively in every one of several looks: `locking_mode=EXCLUSIVE`, or one very long commit.

    Args:
        path: the real path.
        every: seconds between two looks.
    """
    held: dict[int, FileLock] | None = None
    for look in range(looks):
        if look:
            await asyncio.sleep(every)
        now = {lock.pid: lock for lock in await asyncio.to_thread(locks_on, path, proc) or () if lock.what == EXCLUSIVE}
        held = now if held is None else {pid: lock for pid, lock in now.items() if pid in held}
        if not held:
            return ()
    return tuple((held or {}).values())


def _main_locks(table: str, path: Path, proc: Path, *, wal: bool) -> Iterator[tuple[int, str]]:
    for kind, pid, first, last in _rows(table, path, proc):
        shared = first <= _SHARED_LAST and last >= SHARED_FIRST
        if kind == "WRITE" and shared:
            yield pid, EXCLUSIVE
        elif kind == "WRITE" and first < SHARED_FIRST and last >= _PENDING:
            yield pid, WAITING
        elif kind == "READ" and shared and not wal:
            yield pid, READING


def _index_locks(table: str, index: Path, proc: Path) -> Iterator[tuple[int, str]]:
    for kind, pid, first, last in _rows(table, index, proc):
        if kind == "WRITE" and first <= _WAL_WRITE <= last:
            yield pid, WRITING
        if kind == "READ" and first <= _WAL_READ_LAST and last >= _WAL_READ_FIRST:
            yield pid, READING


def _rows(table: str, path: Path, proc: Path) -> Iterator[tuple[str, int, int, int]]:
    try:
        facts = path.stat()
    except OSError:
        return
    devices = _devices(path, facts.st_dev, proc)
    for line in table.splitlines():
        row = _LOCK.match(line)
        if row and int(row[4]) == facts.st_ino and row[3] in devices:
            yield row[1], int(row[2]), int(row[5]), _END_OF_FILE if row[6] == "EOF" else int(row[6])


def _devices(path: Path, device: int, proc: Path) -> set[str]:
    """How the lock table may name the file's device: some file systems (btrfs, overlays) show another one in `stat`."""
    names = {f"{os.major(device):02x}:{os.minor(device):02x}"}
    try:
        table = (proc / "self" / "mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return names
    major, found, minor = mount_of(os.path.realpath(path), parse_mountinfo(table)).device.partition(":")
    return {*names, f"{int(major):02x}:{int(minor):02x}"} if found else names

"""The child process behind the WAL panel: reads the write-ahead log's index and who holds its bytes, many times a second.

It opens the database's files by `open()` and closes them again, so it must never hold a SQLite connection: closing a
descriptor drops every POSIX lock its process holds on that file. It takes no lock itself and changes nothing.
"""

from __future__ import annotations

import os
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepflow_tui.engine.sqlite.file_locks import READING, WAITING, locks_on
from stepflow_tui.engine.sqlite.holders import PROC, command_of, scan
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path
from stepflow_tui.engine.sqlite.wal_index import INDEX_BYTES, Index, parse_index, pinning
from stepflow_tui.engine.sqlite.wal_locks import (
    CHECKPOINT_LOCK,
    OUTSIDE,
    RESERVED_BYTE,
    SHARED_FIRST,
    SHARED_SIZE,
    WRITE_LOCK,
    Lock,
    Named,
    asked_slots,
    held_slots,
    holder_of,
    locks_in,
    name_of,
    table_of,
)

GLIMPSES = 20
"""Looks at the index between two whole looks: a writer holds its lock for milliseconds."""
IDLE_SHARE = 20
"""A look that takes long (a slow disk) is followed by so many times its length of rest."""
SETTLE_SECONDS = 0.02
"""A reader that is gone after so long was a transaction like all others, and nobody to name."""
HOLDERS_SECONDS = 5.0
"""How often the process table is walked for those that have a file in rollback mode open."""

_HEAD_BYTES = 28
_TRIES = 5
"""A writer updates the header's two copies one after the other; a reader between them looks again."""
_UNKNOWN_INDEX: dict[str, Any] = {"salt": None, "change": None, "frames": None, "checkpointed": None}


Pin = tuple[int, int, int]
"""A reader in the way: process, slot, mark."""


@dataclass(slots=True)
class Watching:
    """What one child remembers: how the table names the files, who pins (seen last, told of), who has the file open."""

    path: Path
    proc: Path = PROC
    names: dict[tuple[int, int], Named] = field(default_factory=dict)
    pins: frozenset[Pin] = frozenset()
    told: frozenset[Pin] = frozenset()
    open_by: list[dict[str, Any]] = field(default_factory=list)
    open_at: float = float("-inf")

    def name(self, descriptor: int) -> Named:
        """How the table names this file, looked up once."""
        facts = os.fstat(descriptor)
        key = (facts.st_dev, facts.st_ino)
        if key not in self.names:
            self.names = {**dict(list(self.names.items())[-3:]), key: name_of(descriptor)}
        return self.names[key]

    def command(self, pid: int) -> str | None:
        """A process's command line; None for one that has no name here."""
        return command_of(self.proc / str(pid)) if pid > 0 else None

    def holders(self) -> list[dict[str, Any]]:
        """Who has the file open, not looked up every time."""
        now = time.monotonic()
        if now - self.open_at >= HOLDERS_SECONDS:
            own = {os.getpid(), os.getppid()}
            found = scan(self.path, self.proc).processes
            self.open_by = [{"pid": h.pid, "command": h.command, "what": "open"} for h in found if h.pid not in own]
            self.open_at = now
        return self.open_by


def handle(request: dict[str, Any], emit: Emit) -> Any:
    """Emit a look at the database every `every` seconds with the glimpses since the last one, until the parent is gone.

    A reader that two glimpses in a row found in the way is told of at once.
    """
    watching, every = Watching(text_path(request["path"])), float(request["every"])
    glimpses, told, before = [], float("-inf"), frozenset[Pin]()
    while True:
        began = time.monotonic()
        glimpses.append(glimpse(watching))
        rest = max(every / GLIMPSES, IDLE_SHARE * (time.monotonic() - began)) if every else 0
        stays, before = watching.pins & before, watching.pins
        if began - told >= every or not stays <= watching.told:
            emit({**_settled(watching), "glimpses": glimpses})
            glimpses, told, watching.told = [], began, before
        time.sleep(rest)


def _settled(watching: Watching) -> dict[str, Any]:
    """A look that names those readers only that still stand where they stood a moment ago: each transaction reads first."""
    first = look(watching.path, watching=watching)
    if not first["readers"]:
        return first
    time.sleep(SETTLE_SECONDS)
    second = look(watching.path, watching=watching)
    readers = second["readers"] and [r for r in second["readers"] if r in first["readers"]]
    return {**second, "readers": readers}


def glimpse(watching: Watching) -> dict[str, Any]:
    """One quick look: where the log stands, and who holds the write and the checkpoint lock.

    Returns:
        `t` (monotonic seconds), `at_ms`, `mode`, `salt`, `change`, `frames`, `checkpointed` (None: not known), `writer` and
        `checkpointer` (`pid` and `command`, or None).
    """
    found: dict[str, Any] = {
        "t": time.monotonic(), "at_ms": time.time_ns() // 1_000_000, "mode": "unreadable", **_UNKNOWN_INDEX,
        "writer": None, "checkpointer": None,
    }  # fmt: skip
    watching.pins = frozenset()
    with suppress(OSError):
        descriptor = _open(watching.path)
        try:
            head = os.pread(descriptor, _HEAD_BYTES, 0)
            found["mode"] = "wal" if _is_wal(head) else "rollback"
            if found["mode"] == "rollback":
                (found["change"],) = struct.unpack_from(">I", head, 24) if len(head) == _HEAD_BYTES else (None,)
                found["writer"] = _who(watching, holder_of(descriptor, RESERVED_BYTE))
        finally:
            os.close(descriptor)
        if found["mode"] == "wal":
            found |= _index_glimpse(watching)
    return found


def _index_glimpse(watching: Watching) -> dict[str, Any]:
    if _size(_side(watching.path, b"-wal")) == 0:
        return {"frames": 0, "checkpointed": 0}
    descriptor = _open(_side(watching.path, b"-shm"))
    try:
        index = _index(descriptor)
        if index is not None:
            found = pinning(index, asked_slots(descriptor))
            watching.pins = frozenset((pin["pid"], pin["slot"], pin["mark"]) for pin in found)
        return {
            **({} if index is None else _plain(index)),
            "writer": _who(watching, holder_of(descriptor, WRITE_LOCK)),
            "checkpointer": _who(watching, holder_of(descriptor, CHECKPOINT_LOCK)),
        }
    finally:
        os.close(descriptor)


def _plain(index: Index) -> dict[str, Any]:
    return {
        "salt": index.salt, "change": index.change, "frames": index.frames, "checkpointed": index.checkpointed,
    }  # fmt: skip


def _who(watching: Watching, lock: Lock | None) -> dict[str, Any] | None:
    return None if lock is None else {"pid": lock.pid, "command": watching.command(lock.pid)}


def look(path: Path, *, proc: Path = PROC, watching: Watching | None = None) -> dict[str, Any]:
    """The state of a database's write-ahead log.

    Args:
        path: the real path.
        proc: where the system's tables are (tests give another).
        watching: what is remembered from look to look.

    Returns:
        `mode` is wal, rollback, missing or unreadable; `bytes` the size of `-wal`; `frames` and `checkpointed` are None where
        the index can't be read; `readers` are those that keep frames from being checkpointed, as `pid`, `slot`, `mark` and
        `command`, None where the system tells no locks. `users`: of a file in rollback mode, who has it open, as `pid`,
        `command` and `what`.
    """
    watching = watching or Watching(path, proc)
    try:
        descriptor = _open(path)
    except FileNotFoundError:
        return _facts("missing")
    except OSError:
        return _facts("unreadable")
    try:
        head = os.pread(descriptor, _HEAD_BYTES, 0)
        if not _is_wal(head):
            hidden = _hidden(descriptor)
    except OSError:
        return _facts("unreadable")
    finally:
        os.close(descriptor)
    if _is_wal(head):
        return _log(watching)
    return _facts("rollback", frames=0, checkpointed=0, readers=[], users=_users(watching, hidden))


def _log(watching: Watching) -> dict[str, Any]:
    size = _size(_side(watching.path, b"-wal"))
    if size == 0:
        return _facts("wal", frames=0, checkpointed=0, readers=[])
    try:
        descriptor = _open(_side(watching.path, b"-shm"))
    except OSError:
        return _facts("wal", size=size)
    try:
        index = _index(descriptor)
        if index is None:
            return _facts("wal", size=size)
        held = _held(watching, descriptor)
    finally:
        os.close(descriptor)
    readers = None if held is None else pinning(index, held)
    named = readers and [{**r, "command": watching.command(r["pid"])} for r in readers]
    return _facts(
        "wal", size=size, frames=index.frames, checkpointed=index.checkpointed, readers=named, page_size=index.page_size
    )


def _held(watching: Watching, descriptor: int) -> list[tuple[int, int]] | None:
    """Process and mark of every reader; those that the table leaves out are asked for."""
    table = table_of(watching.proc)
    if table is None:
        return None
    held = held_slots(locks_in(table, watching.name(descriptor)))
    known = {slot for _, slot in held}
    return sorted([*held, *((pid, slot) for pid, slot in asked_slots(descriptor) if slot not in known)])


def _hidden(descriptor: int) -> list[dict[str, Any]]:
    """Who holds locks on a file in rollback mode and is left out of the table."""
    asked = ((SHARED_FIRST, SHARED_SIZE, READING), (RESERVED_BYTE, 1, WAITING))
    held = [(holder_of(descriptor, first, size), what) for first, size, what in asked]
    return [{"pid": h.pid, "command": None, "what": what} for h, what in held if h is not None and h.pid <= OUTSIDE]


def _users(watching: Watching, hidden: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who holds locks on a file in rollback mode, and who else has it open."""
    locks = locks_on(watching.path, watching.proc) or ()
    found = {lock.pid: {"pid": lock.pid, "command": lock.command, "what": lock.what} for lock in locks}
    found |= {user["pid"]: user for user in hidden}
    return [*found.values(), *(h for h in watching.holders() if h["pid"] not in found)]


def _facts(
    mode: str,
    *,
    size: int = 0,
    frames: int | None = None,
    checkpointed: int | None = None,
    readers: list[dict[str, Any]] | None = None,
    users: list[dict[str, Any]] | None = None,
    page_size: int | None = None,
) -> dict[str, Any]:
    return {
        "mode": mode, "bytes": size, "frames": frames, "checkpointed": checkpointed, "readers": readers, "users": users,
        "page_size": page_size,
    }  # fmt: skip


def _is_wal(head: bytes) -> bool:
    return len(head) >= 20 and head[19] == 2


def _side(path: Path, suffix: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(path) + suffix))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _index(descriptor: int) -> Index | None:
    for _ in range(_TRIES):
        if (index := parse_index(os.pread(descriptor, INDEX_BYTES, 0))) is not None:
            return index
    return None


if __name__ == "__main__":
    serve(handle)

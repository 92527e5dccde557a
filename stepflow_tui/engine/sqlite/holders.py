"""Owns who has a database open: by the descriptors listed in /proc, compared by device and inode. Opens nothing."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.sqlite.connect import SUFFIXES, side_file

PROC = Path("/proc")
SAMPLER = "stepflow_tui.engine.sqlite.wal_child"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that has the database or one of its side files open."""

    pid: int
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """Who has a file open.

    `known` is False where the system lists no descriptors (no /proc). `complete` is False when processes of other users
    could not be looked at, so the list may miss some.
    """

    known: bool
    complete: bool
    processes: tuple[Holder, ...] = ()

    @property
    def text(self) -> str:
        """`pid 12 (python3 app.py), pid 40 (sqlite3)`."""
        return ", ".join(f"pid {p.pid} ({p.command})" for p in self.processes)


async def find_holders(path: Path, *, proc: Path = PROC) -> Holders:
    """Who else has the database open; this process itself is left out.

    Args:
        path: the real path; its side files count too.
        proc: where the process table is (tests give another).
    """
    return await asyncio.to_thread(scan, path, proc)


def scan(path: Path, proc: Path = PROC) -> Holders:
    """The same, blocking."""
    if not (proc / "self" / "fd").exists():
        return Holders(known=False, complete=False)
    wanted = _identities(path)
    own = os.getpid()
    found: list[Holder] = []
    complete = True
    for entry in os.scandir(proc):
        if not entry.name.isdigit() or int(entry.name) == own:
            continue
        holds = _holds(Path(entry.path) / "fd", wanted)
        complete = complete and holds is not None
        if holds and not _only_looks(Path(entry.path)):
            found.append(Holder(pid=int(entry.name), command=command_of(Path(entry.path))))
    return Holders(known=True, complete=complete, processes=tuple(sorted(found, key=lambda h: h.pid)))


def _only_looks(process: Path) -> bool:
    """Whether it is the sampler of a WAL panel: it has no connection, takes no lock, and is in nobody's way."""
    try:
        return SAMPLER.encode() in (process / "cmdline").read_bytes().split(b"\x00")
    except OSError:
        return False


def _identities(path: Path) -> set[tuple[int, int]]:
    identities = set()
    for name in (path, *(side_file(path, suffix) for suffix in SUFFIXES)):
        with suppress(OSError):
            status = name.stat()
            identities.add((status.st_dev, status.st_ino))
    return identities


def _holds(folder: Path, wanted: set[tuple[int, int]]) -> bool | None:
    """None: not allowed to look. A process that ends meanwhile holds nothing."""
    try:
        entries = list(os.scandir(folder))
    except PermissionError:
        return None
    except OSError:
        return False
    for entry in entries:
        with suppress(OSError):
            status = entry.stat()
            if (status.st_dev, status.st_ino) in wanted:
                return True
    return False


def command_of(process: Path) -> str:
    """A process's command line, at most 120 characters that can be printed; `?` where it can't be read.

    Args:
        process: its folder in /proc.
    """
    try:
        words = (process / "cmdline").read_bytes().split(b"\x00")
        shown = " ".join(w.decode("utf-8", "replace") for w in words if w)
        shown = shown or (process / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "?"
    return "".join(c if c.isprintable() else "?" for c in shown)[:120]

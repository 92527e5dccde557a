"""Owns which SQLite library a running process has loaded: found in its mappings, its version read from the library's own text.

A library's file name says nothing (`libsqlite3.so.0.8.6` is every version); what it was built from stands inside it.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.sqlite.holders import PROC

MAX_BYTES = 256 * 1024 * 1024
"""Larger files are not searched."""
MAX_FILES = 64
"""Mapped files that are looked at in one process."""

_SOURCE_ID = re.compile(rb"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d [0-9a-f]{40}")
_VERSION = re.compile(rb"\x00(3\.\d{1,2}\.\d{1,2})\x00")
_LIKELY = re.compile(r"sqlite|cipher|\.node$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A SQLite library in a process. `path` is as the process names it."""

    path: str
    version: str


def libraries_of(pids: Iterable[int], proc: Path = PROC) -> dict[int, Library]:
    """The SQLite libraries of processes, by pid; left out where there is none to be seen, or its version can't be told for sure.

    Every file is searched once, however many processes have it loaded.
    """
    found: dict[int, Library] = {}
    known: dict[tuple[int, int], str | None] = {}
    for pid in pids:
        for name, file in _code(pid, proc):
            try:
                status = file.stat()
            except OSError:
                continue
            key = (status.st_dev, status.st_ino)
            if key not in known:
                known[key] = version_in(file)
            if (version := known[key]) is not None:
                found[pid] = Library(path=name, version=version)
                break
    return found


def version_in(file: Path) -> str | None:
    """The version of SQLite that a library or program contains; None: none, or several that contradict each other."""
    try:
        # O_NONBLOCK: had the name become a pipe since it was mapped, opening it would wait for ever.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not 0 < status.st_size <= MAX_BYTES:
            return None
        with closing(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)) as content:
            if _SOURCE_ID.search(content) is None:
                return None
            found = {m[1] for m in _VERSION.finditer(content)}
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)
    return found.pop().decode() if len(found) == 1 else None


def _code(pid: int, proc: Path) -> list[tuple[str, Path]]:
    """Files mapped to be executed, the likely ones first. Data is never opened: a database may be mapped too."""
    folder = proc / str(pid)
    names: dict[str, None] = {}
    try:
        for line in (folder / "maps").read_text("utf-8", "surrogateescape").splitlines():
            fields = line.split(None, 5)
            if len(fields) == 6 and "x" in fields[1] and fields[5].startswith("/"):
                names[fields[5]] = None
    except OSError:
        return []
    ordered = sorted(names, key=lambda n: _LIKELY.search(Path(n).name) is None)[:MAX_FILES]
    return [(n, folder / "root" / n.lstrip("/")) for n in ordered]

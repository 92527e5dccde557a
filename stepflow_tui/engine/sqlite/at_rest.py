"""Owns looking at a WAL database that nobody has open without leaving side files beside it.

SQLite's read-only connection makes `-wal` and `-shm` and can't remove them again; they would belong to whoever looked, and the
application's own user may not be able to write them. While there are no side files nobody has the database open in WAL mode
(whoever reads it makes them first), so its pages are read as they stand in the file. Nothing keeps an application out
meanwhile: what was read counts only if the file is afterwards what it was before, else it is read again with SQLite's locks.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import TypeVar

from stepflow_tui.engine.sqlite.connect import SUFFIXES, real_path, side_file

T = TypeVar("T")
SETTLED_SECONDS = 0.1
"""How old the last change must be: file systems tell times in ticks, and a second change within one would not show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A file without side files, by what every write to it changes."""

    path: Path
    dev: int
    inode: int
    size: int
    mtime_ns: int


async def at_rest(path: Path) -> Rest | None:
    """The file as it stands, None where it has side files, can't be looked at, or keeps changing. It is not opened.

    Args:
        path: as configured; symlinks are followed.
    """
    real = real_path(path)
    seen = await asyncio.to_thread(_stamp, real)
    if seen is None or _age(seen) >= SETTLED_SECONDS:
        return seen
    await asyncio.sleep(SETTLED_SECONDS)
    again = await asyncio.to_thread(_stamp, real)
    return again if again == seen and _age(seen) >= SETTLED_SECONDS else None


async def undisturbed(path: Path, look: Callable[[bool], Awaitable[T]]) -> T:
    """What a look finds: without SQLite's locks where the file rested from before it until after it, else with them.

    Args:
        path: the database, as configured.
        look: told whether it may read a WAL database without locks. It must change nothing: it may be asked twice.
    """
    rest = await at_rest(path)
    if rest is not None:
        try:
            found = await look(True)
        except Exception:
            if await _still(rest):
                raise  # nobody came: the error is the file's, or has nothing to do with it
        else:
            if await _still(rest):
                return found
    return await look(False)


async def _still(rest: Rest) -> bool:
    return await asyncio.to_thread(_stamp, rest.path) == rest


def _age(rest: Rest) -> float:
    return abs(time.time() - rest.mtime_ns / 1e9)


def _stamp(path: Path) -> Rest | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    if not S_ISREG(facts.st_mode) or any(os.path.lexists(side_file(path, suffix)) for suffix in SUFFIXES):
        return None
    return Rest(path=path, dev=facts.st_dev, inode=facts.st_ino, size=facts.st_size, mtime_ns=facts.st_mtime_ns)

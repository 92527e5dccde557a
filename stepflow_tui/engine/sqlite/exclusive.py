"""Owns telling an application in `locking_mode=EXCLUSIVE`, which never lets go, from one that is writing just now.

A busy writer holds its file exclusively for nine tenths of the time, so looks now and then prove nothing. Its lock goes with
every commit, for a fraction of a millisecond; so once it is suspected, it is watched without a gap for a while.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.sqlite.connect import shown, side_file
from stepflow_tui.engine.sqlite.file_locks import SHARED_BYTES, SHARED_FIRST
from stepflow_tui.engine.sqlite.holders import PROC, command_of

WATCH_SECONDS = 1.5
_EVERY_SECONDS = 0.0002
_LOOKS = 500
_IDLE_SHARE = 0.01
_SUSPECT_TRIES, _SUSPECT_SECONDS = 4, 0.5
_JOURNAL_HEADER = 28
_FLOCK = "hhqqi"


@dataclass(slots=True)
class Suspicion:
    """Tries in a row that could not even read."""

    _tries: int = 0
    _since: float = 0.0

    def add(self, *, kept_out: bool, seconds: float) -> bool:
        """One more try. True when it is time to watch; the count then begins anew.

        Args:
            seconds: when it was.
        """
        if not kept_out:
            self._tries = 0
            return False
        self._since = seconds if not self._tries else self._since
        self._tries += 1
        grown = self._tries >= _SUSPECT_TRIES and seconds - self._since >= _SUSPECT_SECONDS
        self._tries = 0 if grown else self._tries
        return grown


def watch(path: Path, seconds: float) -> int | None:
    """Who has held a file exclusively without a gap for so long, with no commit under way all the time; None: nobody.

    Opens the file by hand: only for a process that holds no SQLite connection to it.

    Args:
        path: the real path.
        seconds: how long; it ends at the first look that proves the contrary.
    """
    if not sys.platform.startswith("linux"):  # the struct of a lock is another one elsewhere
        return None
    journal = side_file(path, "-journal")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        suspect = _holder(descriptor)
        looks = idle = 0
        end = time.monotonic() + seconds
        while suspect is not None and time.monotonic() < end:
            if _holder(descriptor) != suspect:
                return None
            looks, idle = looks + 1, idle + journal_idle(journal)
            time.sleep(_EVERY_SECONDS)
    finally:
        os.close(descriptor)
    return suspect if looks >= _LOOKS and idle >= looks * _IDLE_SHARE else None


def _holder(descriptor: int) -> int | None:
    """The process whose lock keeps readers out, by asking the system instead of trying."""
    import fcntl

    asked = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, SHARED_FIRST, SHARED_BYTES, 0)
    kind, *_, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid


def journal_idle(journal: Path) -> bool:
    """Whether no transaction is under way by it: absent, empty, or its header wiped out."""
    with suppress(OSError), journal.open("rb", buffering=0) as file:
        return not any(file.read(_JOURNAL_HEADER))
    return not journal.exists()


def exclusive_refusal(path: Path, pid: int, proc: Path = PROC) -> Refused:
    """Waiting would never end, so it is not waited for."""
    return Refused(
        f"{shown(path)} is held exclusively by an application that does not let go (locking_mode=EXCLUSIVE).",
        detail=f"pid {pid} ({command_of(proc / str(pid))}): exclusive, in every look for {WATCH_SECONDS:g} s",
        hint="Take `PRAGMA locking_mode=EXCLUSIVE` out of the application and restart it, or stop it and run with `mode: offline`.",
        code="source_exclusive",
    )

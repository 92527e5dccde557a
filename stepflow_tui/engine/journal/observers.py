"""Counting who watches a run: a locked file per front end, so that a killed one is not counted."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepflow_tui.engine.journal.lock import is_locked

FOLDER = "observers"


@contextmanager
def watching(run_dir: Path) -> Iterator[None]:
    """While this is open, the run counts one observer more. A folder that can't be written counts nobody."""
    folder = run_dir / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:  # a full or foreign disk must not keep anybody from watching
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def observers(run_dir: Path) -> int:
    """How many front ends watch; files of dead ones are not counted."""
    folder = run_dir / FOLDER
    if not folder.is_dir():
        return 0
    return sum(is_locked(path) for path in folder.iterdir())

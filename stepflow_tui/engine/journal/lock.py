"""The run's lock: one engine per run, held by the process, free the moment it dies. Never unlinked: two inodes, two engines."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from stepflow_tui.engine.errors import Held, UsageError

LOCK = "lock"
"""Name of the lock file in a run's folder."""

TRIES = 50
PAUSE_SECONDS = 0.02
"""Probes hold the lock shared for an instant: only a lock that stays held is an engine's."""


def take_lock(run_dir: Path) -> int:
    """Take the run's lock for the life of this process.

    Returns:
        The descriptor; closing it gives the lock back.

    Raises:
        UsageError: there is no such run folder.
        Held: another engine has it.
    """
    try:
        handle = os.open(run_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as exc:
        raise UsageError(f"No run folder {run_dir}.", code="no_such_run") from exc
    for _ in range(TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE_SECONDS)
        else:
            return handle
    os.close(handle)
    raise Held(f"Another engine works on the run {run_dir.name}.", code="engine_held")


def is_locked(path: Path) -> bool:
    """Whether a process holds a file's lock; a file that isn't there, or may not be looked at, is not held."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False

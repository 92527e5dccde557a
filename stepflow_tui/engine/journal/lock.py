"""The run's lock: one engine per run, held by the process, free the moment it dies. Never unlinked: two inodes, two engines."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from stepflow_tui.engine.errors import Held, UsageError
from stepflow_tui.engine.journal.rundir import LOCK

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

"""Owns the lock on a source: a file in the state directory named by device and inode. The source itself is never locked."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import Held


@dataclass(slots=True)
class SourceLock:
    """A held lock; it ends with `release` or with the process."""

    path: Path
    _descriptor: int

    def release(self) -> None:
        """Let the next run have the source. The file stays: removing it would let two runs lock two files of one name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def lock_source(state_dir: Path, dev: int, inode: int, run_id: str) -> SourceLock:
    """Take the lock of one source file for a run.

    Args:
        state_dir: the state directory (`locks/` is made in it).
        dev, inode: of the real file, so that every name of it leads to the same lock.
        run_id: shown to whoever comes second.

    Raises:
        Held: another run holds it; the detail names that run.
    """
    folder = state_dir / "locks"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"source-{dev:x}-{inode:x}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, run_id.encode(), 0)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace")
        os.close(descriptor)
        raise Held(
            "Another run works on this source.", detail=f"run {holder}" if holder else "", code="source_held"
        ) from error
    except BaseException:
        with suppress(OSError):
            os.close(descriptor)
        raise
    return SourceLock(path, descriptor)

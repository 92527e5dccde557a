"""Owns the folder of a benchmark's copies: locked while it is used, removed at the end, and by the next one if that was killed."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from stepflow_tui.engine.errors import DiskFull
from stepflow_tui.engine.sqlite.connect import shown

PREFIX = "bench-"
_LOCK = "lock"
_OLD_SECONDS = 3600
RESERVE_BYTES = 256 * 1024 * 1024
"""What stays free beside the copies: for what the loads write, and for everybody else."""


@asynccontextmanager
async def scratch_folder(parent: Path, needed_bytes: int) -> AsyncIterator[Path]:
    """A folder (0700) inside `parent` that is gone afterwards.

    Raises:
        DiskFull: `benchmark_disk`: there is no room for what it will hold.
    """
    await asyncio.to_thread(_make_parent, parent)
    await asyncio.to_thread(clear_abandoned, parent)
    refuse_full(parent, needed_bytes)
    folder = parent / f"{PREFIX}{secrets.token_hex(6)}"
    folder.mkdir(mode=0o700)
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        # Not in a thread: a second interrupt must not come between.
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make_parent(parent: Path) -> None:
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)


def clear_abandoned(parent: Path) -> None:
    """Remove what a killed benchmark left; one that is at work holds its lock."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            _remove_old(folder)
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _remove_old(folder: Path) -> None:
    """A folder without its lock is being made at this moment, or its removal was cut short long ago."""
    with suppress(FileNotFoundError):
        if time.time() - folder.stat().st_mtime > _OLD_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def refuse_full(folder: Path, needed_bytes: int) -> None:
    """Say no before anything is written."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + RESERVE_BYTES:
        raise DiskFull(
            f"There is no room for the benchmark's copies in {shown(folder)}.",
            detail=f"{needed_bytes + RESERVE_BYTES} bytes are needed, {free} are free",
            hint="Make room, or name a state directory on another disk with --state.",
            code="benchmark_disk",
        )

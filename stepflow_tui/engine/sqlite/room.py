"""Owns how much room a change of the journal mode needs beside the database, and how a lack of it is told."""

from __future__ import annotations

import os
from pathlib import Path

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import shown, side_file

_CHILD = "stepflow_tui.engine.sqlite.mode_child"
_SHM_BYTES = 32_768
_SPARE_BYTES = 16_384
"""The first page's journal, its header as large as a sector, and what file systems round up."""


async def room_needed(path: Path) -> int:
    """Bytes that must be free in the database's folder for its way into WAL mode, or out of it.

    On the way out what stands in `-wal` moves into the file, which grows by the pages that it does not have yet.

    Args:
        path: the real path.
    """
    try:
        answer = await run_child(_CHILD, {"op": "room", "path": path_text(path)})
        grows, page = int(answer["grows"]), int(answer["page_size"])
    except StepFlowError:
        grows, page = _bytes(side_file(path, "-wal")), 65_536  # not readable without room: at most all of the -wal
    return grows + 2 * page + _SPARE_BYTES + max(0, _SHM_BYTES - _bytes(side_file(path, "-shm")))


def room_free(folder: Path) -> int | None:
    """Bytes that may be used there; None when the system does not tell."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def make_room(folder: Path, needed: int, then: str) -> str:
    """What to do, for an error's hint. Where there is room enough by now it is another disk, which the message names."""
    free = room_free(folder)
    if free is None or free >= needed:
        return f"Make room there, then {then}."
    return f"{shown(folder)} has {free} bytes free, and this needs about {needed}: make room for {needed - free} more, then {then}."


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

"""Owns what can stand against a conversion: files that must not be converted, and what SQLite's errors mean for one."""

from __future__ import annotations

import os
from pathlib import Path

from stepflow_tui.engine.errors import DiskFull, Refused, StepFailed, StepFlowError
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.mapping import CORRUPT_HINT
from stepflow_tui.engine.sqlite.mode import JournalMode, ModeFacts, read_mode, soundness
from stepflow_tui.engine.sqlite.mounts import filesystem_of, is_file_mount
from stepflow_tui.engine.sqlite.room import make_room, room_free, room_needed

_ROOM = 1024 * 1024
"""Bytes free below which an I/O error is taken for what it mostly is: SQLite has several names for a full disk."""

_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_IO = ("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_READONLY", *_DAMAGE)
"""What a failing disk looks like: a page that can't be read is "malformed", a file that can't be opened for writing "read-only".
"""


def refuse_unfit(path: Path, to: JournalMode, facts: ModeFacts) -> None:
    """Refuse files whose journal others would not find, or whose locks don't hold. Nothing has been touched.

    Args:
        path: the real path.

    Raises:
        Refused: `source_empty`, `source_hard_links`, `source_file_mount`, `source_wal_on_network`, `source_read_only`.
    """
    if facts.header == (0, 0):
        raise Refused(f"{shown(path)} is empty: there is nothing to convert.", hint="Let the application create its tables first.",
                      code="source_empty")  # fmt: skip
    links = path.stat().st_nlink
    if links > 1:
        raise Refused(
            f"{shown(path)} has {links} names (hard links): each name would get its own -wal, and the data would be torn apart.",
            hint="Keep one name (`find FOLDER -samefile FILE` lists them), then run again.",
            code="source_hard_links",
        )
    if is_file_mount(path):
        raise Refused(
            f"{shown(path)} is a mount point of its own: its side files would not be seen on the other side of the mount.",
            hint="Mount the folder instead of the file, then run again.",
            code="source_file_mount",
        )
    where = filesystem_of(path.parent)
    if where.network and to is JournalMode.WAL:
        raise Refused(
            f"{shown(path)} lies on a network file system ({where.kind}): WAL needs memory that all users of the file share.",
            hint="Move the database to a local disk, or use PostgreSQL (`kind: sqlite-to-postgres`).",
            code="source_wal_on_network",
        )
    _refuse_read_only(path)


def _refuse_read_only(path: Path) -> None:
    for name, what in ((path, "file"), (path.parent, "folder")):
        if not _may_write(name):
            raise read_only(path, f"the {what} {shown(name)} can't be written")


def _may_write(name: Path) -> bool:
    return os.access(name, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _writable(path: Path) -> bool:
    return _may_write(path) and _may_write(path.parent)


def read_only(path: Path, detail: str) -> Refused:
    """Side files stand beside the database, so file and folder must be writable."""
    return Refused(
        f"{shown(path)} can't be converted: it is read-only here.",
        detail=detail,
        hint="Run StepFlow as the application's user, or make file and folder writable for it.",
        code="source_read_only",
    )


async def failure(path: Path, name: str, text: str) -> StepFlowError:
    """The error for a try that failed for another reason than somebody in the way.

    After an I/O error or on a full disk nothing is tried again: a fresh process looks what state the file is in.

    Args:
        path: the real path.
        name: SQLite's name of the error.
        text: its message.
    """
    detail = f"{text} ({name})"
    if name == "SQLITE_ERROR":
        return refused(path, detail)
    if name.startswith("SQLITE_READONLY") and not _writable(path):
        return read_only(path, detail)
    if not name.startswith(_IO):
        return StepFailed(f"{shown(path)} could not be converted by SQLite.", detail=detail, code="sqlite_failed")
    sound = await soundness(path)
    if name in _DAMAGE and sound != "ok":
        detail = f"{detail}; integrity_check: {sound}"
        return Refused(
            f"{shown(path)} is damaged, so it is not converted.",
            detail=detail,
            hint=CORRUPT_HINT,
            code="source_corrupt",
        )
    detail = f"{detail}; integrity_check: {sound}; {await _mode_now(path)}"
    if name == "SQLITE_FULL" or _no_room(path):
        return DiskFull(
            f"The conversion of {shown(path)} found no room on the disk.",
            detail=detail,
            hint=make_room(
                path.parent, await room_needed(path), "`stepflow run` again: it goes on from the last checkpoint"
            ),
        )
    return StepFailed(
        f"The conversion of {shown(path)} met an input/output error.",
        detail=detail,
        hint="Look at the disk (dmesg, SMART) before anything else; run again once it is sound.",
        code="conversion_io",
    )


def refused(path: Path, detail: str) -> Refused:
    """SQLite kept the mode without an error, or something set it back."""
    return Refused(
        f"SQLite did not change the journal mode of {shown(path)}.",
        detail=detail,
        hint="Look whether the application sets `PRAGMA journal_mode` itself when it connects, and whether its file system"
        " supports shared memory; then run again.",
        code="conversion_refused",
    )


async def state_now(path: Path) -> str:
    """`integrity_check: ok; the file is in delete, header 1,1`, asked in this order: the check rolls a hot journal back."""
    return f"integrity_check: {await soundness(path)}; {await _mode_now(path)}"


async def _mode_now(path: Path) -> str:
    try:
        return f"the file is in {(await read_mode(path)).text}"
    except StepFlowError as error:
        return f"its mode can't be read ({error.detail or error.message})"


def _no_room(path: Path) -> bool:
    free = room_free(path.parent)
    return free is not None and free < _ROOM

"""The mark beside an old file: written when StepFlow leaves it for good, it tells a router that slept over the end of the
migration where writes are. Inside the file nothing of ours is left that could."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.sqlite.connect import shown

MARK = "-stepflow"
"""What the mark's name has more than the file's; `stepflow_tui.client` reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """The new name (of the same folder) that the old file gets, and its inode."""

    name: str
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a mark says: PostgreSQL owns writes since this run, for the file of this inode; None: for any under the name."""

    run: str
    inode: int | None
    renamed: Renamed | None = None


def set_mark(path: Path, run_id: str, *, renamed: Renamed | None = None) -> Path:
    """Say that PostgreSQL owns the writes of this file's application. On the disk when it returns.

    Args:
        path: the real path of the file.
        run_id: who says so.
        renamed: the file is about to get another name: whatever comes under this one is not the application's.

    Raises:
        OSError: the folder takes no file.
    """
    facts = path.stat()
    said: dict[str, object] = {"owner": Owner.POSTGRESQL.value, "run": run_id, "inode": facts.st_ino}
    if renamed is not None:
        said |= {"inode": None, "renamed": [renamed.name, renamed.inode]}
    made, fresh = mark_of(path), mark_of(path).with_name(f"{path.name}{MARK}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        # for every user: the application's may be none of those that the file's group and mode would let in by our user
        os.fchmod(descriptor, facts.st_mode & 0o666 | 0o444)
        if os.geteuid() == 0:
            os.fchown(descriptor, facts.st_uid, facts.st_gid)
        os.write(descriptor, json.dumps(said).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(made)
    _sync_folder(made.parent)
    return made


def read_mark(path: Path) -> Mark | None:
    """The mark that is about the file under this name now, or about the one that stood there; None without one.

    Raises:
        OSError, ValueError: there is one, and it can't be read.
    """
    try:
        said = json.loads(mark_of(path).read_bytes())
        moved = said.get("renamed")
        mark = Mark(
            run=str(said["run"]),
            inode=None if said["inode"] is None else int(said["inode"]),
            renamed=None if moved is None else Renamed(name=str(moved[0]), inode=int(moved[1])),
        )
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"{shown(mark_of(path))} is not what StepFlow wrote") from error
    with suppress(FileNotFoundError):
        if mark.inode not in (None, path.stat().st_ino):
            return None
    return mark


def drop_mark(path: Path, run_id: str) -> None:
    """Take back what this run said: it was rolled back. A mark of another run stays, and so does one that can't be read: it
    is not for this run to say what that one meant.

    Raises:
        OSError: it can't be removed.
    """
    try:
        mark = read_mark(path)
    except (OSError, ValueError):
        return
    if mark is not None and mark.run == run_id:
        mark_of(path).unlink(missing_ok=True)


def refuse_marked(path: Path) -> None:
    """Stop before another file is put in the place of one that was migrated: the application's processes would take it
    for the owner of writes.

    Raises:
        Refused: `source_migrated`.
    """
    try:
        mark = read_mark(path)
        if mark is None:
            return
        said = f"the run {mark.run} moved its writes to PostgreSQL"
    except (OSError, ValueError) as error:
        said = str(error)
    raise Refused(
        f"{shown(path)} was migrated, so nothing is put in its place.",
        detail=f"{shown(mark_of(path))}: {said}",
        hint="Restore under another name. If the application shall write here again, stop it, delete the mark, and try again.",
        code="source_migrated",
    )


def mark_of(path: Path) -> Path:
    """Where the mark of that file stands."""
    return path.with_name(f"{path.name}{MARK}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

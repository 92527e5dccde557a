"""Folders that take each other's place: renames that last, copies that are proved, names that are free.

Knows nothing of versions: which folder is which is decided in `directory.py`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from stepflow_tui.engine.errors import DiskFull, StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.sqlite.mounts import MOUNTINFO, parse_mountinfo

_CHUNK_BYTES = 1 << 20
_DISK_IS_FULL = (28, 122)  # ENOSPC, EDQUOT


def rename(old: Path, new: Path) -> None:
    """Give a folder another name on its file system; when this returns, the new name is on disk.

    Raises:
        StepFailed: `recipe_directory_failed`.
    """
    try:
        old.rename(new)
        for parent in {old.parent, new.parent}:
            sync(parent)
    except OSError as error:
        raise failed_at(old, "could not be renamed", error) from error


def point(link: Path, target: str) -> None:
    """Let a symlink point elsewhere, in one step: whoever follows it meets one of the two.

    Raises:
        StepFailed: `recipe_directory_failed`.
    """
    aside = link.with_name(f".{link.name}.stepflow-new")
    try:
        aside.unlink(missing_ok=True)
        aside.symlink_to(target)
        failpoint("recipe_link_made")
        aside.rename(link)
        failpoint("recipe_link_switched")
        sync(link.parent)
    except OSError as error:
        raise failed_at(link, "could not be switched", error) from error


def copy_proved(source: Path, target: Path) -> None:
    """Copy a folder and read every file of the copy again; it is all on disk when this returns.

    Modes, times and symlinks are kept, owners where this user may.

    Raises:
        StepFailed: `recipe_directory_failed`, also for what is neither file, folder nor link; `recipe_copy_differs`.
        DiskFull: no room.
    """
    try:
        shutil.copytree(source, target, symlinks=True, copy_function=_copy_file)
        _own(source, target)
        for name in listing(source):
            _prove(source / name, target / name)
        for folder in [target, *(p for p in target.rglob("*") if p.is_dir() and not p.is_symlink())]:
            sync(folder)
        sync(target.parent)
    except shutil.Error as error:
        reason = "; ".join(f"{where}: {why}" for where, _to, why in error.args[0][:3])
        full = any(f"[Errno {n}]" in reason for n in _DISK_IS_FULL)
        raise _not_copied(source, target, reason, full=full) from error
    except OSError as error:
        raise _not_copied(source, target, error.strerror or "", full=error.errno in _DISK_IS_FULL) from error


def listing(folder: Path) -> list[str]:
    """Everything in a folder, as paths relative to it, sorted."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def digest(file: Path) -> str:
    """sha256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def mounts_in(folder: Path) -> list[str]:
    """Where something is mounted inside a folder: a rename would take it along, an exchange would leave it behind."""
    try:
        points = {m.mount_point for m in parse_mountinfo(MOUNTINFO.read_text(errors="surrogateescape"))}
    except OSError:
        return []  # no /proc: nothing to ask
    inside = f"{folder.resolve()}/"
    return sorted(point for point in points if point.startswith(inside))


def free_name(folder: Path, word: str) -> Path:
    """`<folder>.stepflow-<word>`, or with the first number behind it that is free."""
    return next(p for p in _names(folder, word) if not os.path.lexists(p))


def sync(folder: Path) -> None:
    """Have a folder's names on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def failed_at(path: Path, what: str, error: OSError) -> StepFailed:
    """The error for a folder or link that can't be changed."""
    return StepFailed(
        f"{path} {what}.",
        detail=error.strerror or type(error).__name__,
        hint="See that this user may write in the folder it lies in, and that it is no mount point; then run again.",
        code="recipe_directory_failed",
    )


def _names(folder: Path, word: str) -> Iterator[Path]:
    yield folder.with_name(f"{folder.name}.stepflow-{word}")
    number = 2
    while True:
        yield folder.with_name(f"{folder.name}.stepflow-{word}-{number}")
        number += 1


def _copy_file(source: str, target: str) -> str:
    if not stat.S_ISREG(os.lstat(source).st_mode):
        raise OSError(22, "it is no file, folder or link", source)
    shutil.copy2(source, target)
    handle = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return target


def _own(source: Path, target: Path) -> None:
    """Give owner and group to the copies; only root may, and only root's copies would have another."""
    if os.geteuid() != 0:
        return
    for name in ["", *listing(source)]:
        facts = os.lstat(source / name)
        os.chown(target / name, facts.st_uid, facts.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(facts.st_mode):
            (target / name).chmod(stat.S_IMODE(facts.st_mode))  # a change of owner takes some bits away


def _prove(source: Path, copy: Path) -> None:
    if source.is_symlink():
        same = copy.is_symlink() and source.readlink() == copy.readlink()
    elif source.is_dir():
        same = copy.is_dir()
    else:
        same = digest(source) == digest(copy)
    if not same:
        raise StepFailed(
            f"{copy} is not as its original.",
            detail=f"copied from {source}",
            hint="See that nothing writes into the release while it is copied, and that the disk is sound; then run again.",
            code="recipe_copy_differs",
        )


def _not_copied(source: Path, target: Path, reason: str, *, full: bool) -> StepFailed:
    kind = DiskFull if full else StepFailed
    return kind(
        f"{source} could not be copied to {target}.",
        detail=reason,
        hint="Make room or put right what is named, then `stepflow run` again: the copy is begun anew.",
        code="disk_full" if full else "recipe_directory_failed",
    )

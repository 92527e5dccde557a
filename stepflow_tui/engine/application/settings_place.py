"""A settings file on the disk: looking at it before anything is changed, and writing it so that no crash leaves half of it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.sqlite.mounts import MOUNTINFO, parse_mountinfo

MAX_BYTES = 1024 * 1024
"""Settings files have kilobytes; a larger one was probably named by mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A file as it stands. `in_place`: it can't be replaced by a new file, so its content is rewritten."""

    file: Path  # as the config names it
    real: Path
    data: bytes = field(repr=False)
    mode: int
    owner: int
    group: int
    in_place: bool


def digest(data: bytes) -> str:
    """What a content is known by."""
    return hashlib.sha256(data).hexdigest()


def look(file: Path) -> Standing:
    """Read a file that is to be changed.

    Raises:
        Refused: `setting_*`, it is missing, no ordinary file, has other names, is too large, or may not be written.
    """
    real = real_path(file)
    data, info = _read(file, real)
    if info.st_nlink > 1:
        raise _no(file, "setting_hard_link", f"has {info.st_nlink} names (hard links), and a changed one would part from the others",
                  "Make it a file of its own: cp it to a new name and mv that over it.")  # fmt: skip
    # Root may write to anything, so the file's own word counts: nobody took all rights to write away by accident.
    if not info.st_mode & 0o222 or not _may(real, os.W_OK):
        raise _no(
            file,
            "setting_read_only",
            "is read-only",
            "`chmod u+w` it, or run StepFlow as the user who may write to it.",
        )
    in_place = str(real) in _mount_points() or not _keeps_owner(info)
    if not in_place and not _replaceable(real, info):
        raise _no(file, "setting_folder_read_only", "can't be replaced: its folder is read-only",
                  f"Give this user the right to write in {real.parent}; half a file after a crash is no choice.")  # fmt: skip
    return Standing(file=file, real=real, data=data, mode=stat.S_IMODE(info.st_mode), owner=info.st_uid,
                    group=info.st_gid, in_place=in_place)  # fmt: skip


def real_path(file: Path) -> Path:
    """The file behind symlinks.

    Raises:
        Refused: `setting_file_missing`.
    """
    try:
        return file.resolve(strict=True)
    except FileNotFoundError:
        what = "is a symlink to nothing" if file.is_symlink() else "is not there"
    except (OSError, RuntimeError):
        what = "can't be reached"
    raise _no(file, "setting_file_missing", what, "Correct `file` in the config, or make the file.")


def contents_of(file: Path) -> bytes:
    """What a file holds that is only read.

    Raises:
        Refused: `setting_*`, it is missing, no ordinary file, unreadable or too large.
    """
    return _read(file, real_path(file))[0]


def content(real: Path) -> bytes | None:
    """What the file holds now, None if it is gone.

    Raises:
        Refused: `setting_*`, something else is there, or it can't be read.
    """
    return _read(real, real)[0] if os.path.lexists(real) else None


def write(place: Standing, data: bytes, temporary: str) -> None:
    """Make the file hold that, at once and for good; owner, mode and extended attributes stay.

    Args:
        temporary: name, in the file's folder, of the file that takes its place; one of that name is removed.

    Raises:
        OSError: it can't be written. A file that is replaced is as it was; one written in place may be torn.
    """
    if place.in_place and place.real.exists():
        _rewrite(place.real, data)
        return
    new = place.real.with_name(temporary)
    try:
        _create(place, new, data)
        failpoint("settings_made")
        new.replace(place.real)
    except OSError as error:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        if error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        _rewrite(place.real, data)  # a file that is mounted by itself can't be replaced
        return
    sync_folder(place.real.parent)


def temporary_name() -> str:
    """A name for `write`, written down before it is used, so that a crash leaves nothing unknown."""
    return f".stepflow-{secrets.token_hex(8)}"


def torn(now: bytes, old: bytes, new: bytes) -> bool:
    """Whether that is what a crash left of writing the new over the old in place."""
    same = next((i for i, (a, b) in enumerate(zip(now, new, strict=False)) if a != b), min(len(now), len(new)))
    return now[same:] == old[same:]


def sync_folder(folder: Path) -> None:
    """Make names in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes, at: int = 0) -> None:
    """Write all of it from there on; a disk may take less at a time."""
    view = memoryview(data)
    while view:
        done = os.pwrite(handle, view, at)
        view, at = view[done:], at + done


def _read(file: Path, real: Path) -> tuple[bytes, os.stat_result]:
    try:
        handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _no(
            file, "setting_unreadable", f"can't be read ({error.strerror})", "Run StepFlow as a user who may read it."
        ) from None
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise _no(file, "setting_not_a_file", "is no ordinary file", "Correct `file` in the config.")
        with os.fdopen(handle, "rb", closefd=False) as opened:
            data = opened.read(MAX_BYTES + 1)
    finally:
        os.close(handle)
    if len(data) > MAX_BYTES:
        raise _no(file, "setting_too_large", f"is larger than {MAX_BYTES} bytes", "Name the file of settings itself.")
    return data, info


def _may(path: Path, right: int) -> bool:
    return os.access(path, right, effective_ids=os.access in os.supports_effective_ids)


def _keeps_owner(info: os.stat_result) -> bool:
    """Whether a file of ours can be given this owner and group; one that changed hands would shut the application out."""
    if os.geteuid() == 0:
        return True
    return info.st_uid == os.geteuid() and info.st_gid in {os.getegid(), *os.getgroups()}


def _replaceable(real: Path, info: os.stat_result) -> bool:
    folder = real.parent.stat()
    sticky = folder.st_mode & stat.S_ISVTX and os.geteuid() not in (0, info.st_uid, folder.st_uid)
    return _may(real.parent, os.W_OK | os.X_OK) and not sticky


def _mount_points() -> set[str]:
    try:
        return {m.mount_point for m in parse_mountinfo(MOUNTINFO.read_text(errors="surrogateescape"))}
    except OSError:
        return set()  # no /proc: a file that is mounted by itself shows when it is replaced


def _create(place: Standing, new: Path, data: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(handle, data)
        if os.geteuid() == 0 or (place.owner, place.group) != (os.geteuid(), os.getegid()):
            os.fchown(handle, place.owner, place.group)
        _copy_attributes(place.real, handle)
        os.fchmod(handle, place.mode)  # last: a change of owner takes bits of the mode away
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy_attributes(real: Path, handle: int) -> None:
    """Extended attributes (labels, access lists), as far as this user and the file system let us."""
    if not hasattr(os, "listxattr") or not real.exists():
        return
    for name in os.listxattr(real):
        with contextlib.suppress(OSError):
            os.setxattr(handle, name, os.getxattr(real, name))


def _rewrite(real: Path, data: bytes) -> None:
    handle = os.open(real, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        half = len(data) // 2
        write_all(handle, data[:half])
        failpoint("settings_in_place")
        write_all(handle, data[half:], half)
        os.ftruncate(handle, len(data))
        os.fsync(handle)
    finally:
        os.close(handle)


def _no(file: Path, code: str, what: str, hint: str) -> Refused:
    return Refused(f"The settings file {file} {what}.", hint=hint, code=code)

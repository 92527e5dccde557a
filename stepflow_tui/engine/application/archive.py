"""Owns making the archive of the application's files: one tar with the hash of every member, synced, described last.

Knows files only: which folders, and what is left out, its caller says.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import stat
import tarfile
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from stepflow_tui.engine.application.archive_manifest import (
    Archive,
    Kind,
    Member,
    Note,
    Root,
    Why,
    remove_archive,
    sync_folder,
    write_manifest,
)
from stepflow_tui.engine.errors import DiskFull, Refused, StepFailed

BLOCK = 1024 * 1024
IN_MEMORY = 16 * BLOCK
"""A larger file is read into a nameless file beside the archive first: a member's size stands before its bytes."""
TRIES = 2
LEVEL = 1
_SQLITE = b"SQLite format 3\x00"

Look = Callable[[int], None]
"""Called with the bytes read since the last call; raises when the work is to end."""


def nobody_looks(_: int) -> None:
    """For work that nobody interrupts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveOut:
    """What is not archived: files of the database, and StepFlow's own folders, by their real paths."""

    source: Collection[Path] = ()
    own: Collection[Path] = ()


@dataclass(slots=True)
class _Work:
    tar: tarfile.TarFile
    spool_dir: Path
    roots: tuple[Root, ...]
    look: Look
    source_names: frozenset[str]
    source_ids: frozenset[tuple[int, int]]
    own: frozenset[str]
    members: list[Member] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    linked: dict[tuple[int, int], str] = field(default_factory=dict)

    def note(self, why: Why, path: Path) -> None:
        self.notes.append(Note(why=why, path=str(path)))


def make_archive(
    places: Sequence[Path], dest: Path, *, leave_out: LeaveOut, now_ms: int, look: Look = nobody_looks
) -> Archive:
    """Archive folders and files; blocking. A half-made archive is removed, whatever ends it.

    Args:
        places: folders and files, absolute; one inside another is taken once. A symbolic link is followed here, and only here.
        dest: the archive's file; its folder is made private if it is missing.
        leave_out: what is left out, by name.
        now_ms: wall clock, for the manifest.
        look: called every few hundred kilobytes.

    Raises:
        Refused: `archive_place_missing`, `archive_place_own`.
        DiskFull, StepFailed: it can't be written; nothing is left behind.
    """
    roots = _roots(places)
    _refuse_own(roots, (*leave_out.own, dest.parent))
    started = time.monotonic()
    try:
        dest.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_archive(dest)
        archive = _written(roots, dest, leave_out, now_ms, look, started)
        write_manifest(archive)
    except BaseException as exc:
        with suppress(OSError):
            remove_archive(dest)
        if isinstance(exc, OSError):
            raise _unwritable(dest, exc) from exc
        raise
    return archive


def _unwritable(dest: Path, exc: OSError) -> StepFailed:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull(
            f"No room for the archive {dest}.", detail=str(exc), hint="Make room there, or name another `backup.dir`."
        )
    return StepFailed(
        f"The archive {dest} can't be made.",
        detail=str(exc),
        hint="Correct that, then run again.",
        code="archive_failed",
    )


def _roots(places: Sequence[Path]) -> tuple[Root, ...]:
    found: dict[str, Root] = {}
    for place in places:
        real = Path(os.path.realpath(place))
        if not real.exists():
            raise Refused(
                f"{place} is not there, but is to be saved (application.backup).",
                hint="Correct the path, or take it out of `application.backup`.",
                code="archive_place_missing",
            )
        named = str(place) if str(real) != os.path.normpath(place) else ""
        found.setdefault(str(real), Root(path=str(real), folder=real.is_dir(), named=named))
    outer = [r for r in found.values() if not any(Path(o) in Path(r.path).parents for o in found)]
    return tuple(outer)


def _refuse_own(roots: tuple[Root, ...], own: Collection[Path]) -> None:
    """A folder that holds the backups can't be one of them: putting it back would move them away."""
    folders = {os.path.realpath(p) for p in own}
    for root in roots:
        if root.folder and root.path in folders:
            raise Refused(
                f"{root.path} is to be saved (application.backup), and holds StepFlow's own backups.",
                hint="Put the backups elsewhere with `backup.dir`, or save folders inside of it.",
                code="archive_place_own",
            )


def _written(
    roots: tuple[Root, ...], dest: Path, leave_out: LeaveOut, now_ms: int, look: Look, started: float
) -> Archive:
    partial = dest.with_name(dest.name + ".partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as raw:
        with (
            gzip.GzipFile("", "wb", compresslevel=LEVEL, fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar,
        ):
            work = _begin(tar, dest.parent, roots, leave_out, look)
            for number, root in enumerate(roots):
                _add(work, number, Path(root.path), "")
        raw.flush()
        os.fsync(raw.fileno())
    sha256, size = hashed(partial, look)
    partial.replace(dest)
    sync_folder(dest.parent)
    return Archive(
        path=str(dest), bytes=size, sha256=sha256, made_at_ms=now_ms, seconds=time.monotonic() - started, roots=roots,
        members=tuple(work.members), notes=tuple(work.notes),
    )  # fmt: skip


def _begin(tar: tarfile.TarFile, folder: Path, roots: tuple[Root, ...], leave_out: LeaveOut, look: Look) -> _Work:
    names = frozenset(os.path.realpath(p) for p in leave_out.source)
    ids = set()
    for name in names:
        with suppress(OSError):
            facts = Path(name).lstat()
            ids.add((facts.st_dev, facts.st_ino))
    own = frozenset(os.path.realpath(p) for p in (*leave_out.own, folder))
    return _Work(tar, folder, roots, look, names, frozenset(ids), own)


def _add(work: _Work, root: int, path: Path, relative: str) -> None:
    """One path and, of a folder, everything in it. Iterative: a deep tree needs no deep stack."""
    waiting = [(path, relative)]
    while waiting:
        here, name = waiting.pop()
        try:
            facts = here.lstat()
        except FileNotFoundError:
            work.note(Why.VANISHED, here)
            continue
        except OSError:
            work.note(Why.UNREADABLE, here)
            continue
        if not _left_out(work, here, facts):
            _add_one(work, root, here, name, facts)
            if stat.S_ISDIR(facts.st_mode):
                waiting += reversed(list(_entries(work, here, name)))


def _left_out(work: _Work, path: Path, facts: os.stat_result) -> bool:
    if str(path) in work.source_names or (facts.st_dev, facts.st_ino) in work.source_ids:
        work.note(Why.SOURCE, path)  # never opened: closing a descriptor would drop the locks of a process that uses it
        return True
    if str(path) in work.own:
        work.note(Why.OWN, path)
        return True
    return False


def _entries(work: _Work, folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    try:
        found = sorted(os.listdir(folder))  # noqa: PTH208 - names as they are
    except FileNotFoundError:
        work.note(Why.VANISHED, folder)
        return
    except OSError:
        work.note(Why.UNREADABLE, folder)
        return
    for entry in found:
        yield folder / entry, f"{name}/{entry}" if name else entry


def _add_one(work: _Work, root: int, path: Path, name: str, facts: os.stat_result) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        work.note(Why.NOT_UTF8, path)
    member = Member(
        root=root, path=name, kind=Kind.FOLDER, mode=stat.S_IMODE(facts.st_mode), mtime_ns=facts.st_mtime_ns,
        uid=facts.st_uid, gid=facts.st_gid,
    )  # fmt: skip
    if stat.S_ISDIR(facts.st_mode):
        _put(work, member, tarfile.DIRTYPE)
    elif stat.S_ISLNK(facts.st_mode):
        _add_link(work, member, path)
    elif stat.S_ISREG(facts.st_mode):
        _add_file(work, member, path, facts)
    else:
        work.note(Why.SPECIAL, path)


def _add_link(work: _Work, member: Member, path: Path) -> None:
    try:
        target = str(path.readlink())
    except OSError:
        work.note(Why.VANISHED, path)
        return
    end = Path(os.path.realpath(path))
    if not any(end == Path(r.path) or Path(r.path) in end.parents for r in work.roots):
        work.note(Why.OUTSIDE, path)
    _put(work, replace(member, kind=Kind.SYMLINK, target=target), tarfile.SYMTYPE)


def _add_file(work: _Work, member: Member, path: Path, facts: os.stat_result) -> None:
    identity = (facts.st_dev, facts.st_ino)
    if facts.st_nlink > 1 and identity in work.linked:
        first = work.linked[identity]
        _put(work, replace(member, kind=Kind.HARDLINK, target=first), tarfile.LNKTYPE)
        return
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=str(work.spool_dir)) as spool:
        read = _read_still(work, path, spool)
        if read is None:
            return
        size, sha256, now, head = read
        sparse = size > BLOCK and now.st_blocks * 512 < size // 2
        if sparse:
            work.note(Why.SPARSE, path)
        if head.startswith(_SQLITE):
            work.note(Why.DATABASE, path)
        file = replace(member, kind=Kind.FILE, size=size, sha256=sha256, sparse=sparse, mtime_ns=now.st_mtime_ns)
        spool.seek(0)
        _put(work, file, tarfile.REGTYPE, spool)
    if facts.st_nlink > 1:
        work.linked[identity] = member.name


def _read_still(work: _Work, path: Path, spool: IO[bytes]) -> tuple[int, str, os.stat_result, bytes] | None:
    """The file's bytes in the spool. One that changes while it is read is read again, and then named."""
    read = None
    for attempt in range(TRIES):
        spool.seek(0)
        spool.truncate()
        try:
            read, still = _read(path, spool, work.look)
        except FileNotFoundError:
            work.note(Why.VANISHED, path)
            return None
        except OSError:
            work.note(Why.UNREADABLE, path)
            return None
        if still:
            break
        if attempt == TRIES - 1:
            work.note(Why.CHANGED, path)
    return read


def _read(path: Path, spool: IO[bytes], look: Look) -> tuple[tuple[int, str, os.stat_result, bytes], bool]:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb", buffering=0) as file:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "not a regular file any more")
        digest, left, head = hashlib.sha256(), before.st_size, b""
        # no more than there was at the beginning: a log may grow for ever
        while left and (block := file.read(min(BLOCK, left))):
            head = head or block[:16]
            digest.update(block)
            _spool(spool, block)
            left -= len(block)
            look(len(block))
        after = os.fstat(handle)
    still = left == 0 and _version(before) == _version(after)
    return (before.st_size - left, digest.hexdigest(), after, head), still


def _spool(spool: IO[bytes], block: bytes) -> None:
    try:
        spool.write(block)
    except OSError as exc:  # told apart from an error of the file that is read
        raise DiskFull(
            "No room for reading a large file beside the archive.",
            detail=str(exc),
            hint="Make room there, or name another `backup.dir`.",
        ) from exc


def _version(facts: os.stat_result) -> tuple[int, int, int]:
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _put(work: _Work, member: Member, kind: bytes, data: IO[bytes] | None = None) -> None:
    info = tarfile.TarInfo(member.name)
    info.type, info.mode, info.uid, info.gid = kind, member.mode, member.uid, member.gid
    info.mtime = member.mtime_ns // 1_000_000_000
    info.size, info.linkname = member.size, member.target
    work.tar.addfile(info, data)
    work.members.append(member)


def hashed(path: Path, look: Look = nobody_looks) -> tuple[str, int]:
    """SHA-256 and size of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
            size += len(block)
            look(len(block))
    return digest.hexdigest(), size

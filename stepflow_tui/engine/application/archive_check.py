"""Owns the proof of an archive: every member read from it again, compared with the manifest, and with the files themselves."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stepflow_tui.engine.application.archive import BLOCK, Look, hashed, nobody_looks
from stepflow_tui.engine.application.archive_manifest import Archive, Kind, Member, Note, Why

_TYPES = {
    Kind.FILE: tarfile.REGTYPE, Kind.FOLDER: tarfile.DIRTYPE, Kind.SYMLINK: tarfile.SYMTYPE, Kind.HARDLINK: tarfile.LNKTYPE
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveCheck:
    """What was read. `problems` are lines about members; an empty tuple and the same hash prove the archive."""

    sha256: str
    same: bool
    problems: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """The same bytes, and every member as the manifest says."""
        return self.same and not self.problems


@contextmanager
def opened(archive: Archive) -> Iterator[tarfile.TarFile]:
    """The archive as a stream of members, front to back."""
    with (
        archive.file.open("rb") as raw,
        gzip.GzipFile(fileobj=raw, mode="rb") as packed,
        tarfile.open(fileobj=packed, mode="r|", errors="surrogateescape") as tar,
    ):
        yield tar


def check_archive(archive: Archive, look: Look = nobody_looks) -> ArchiveCheck:
    """Read the whole archive; blocking."""
    try:
        sha256, _ = hashed(archive.file, look)
    except OSError as exc:
        return ArchiveCheck(sha256="", same=False, problems=(str(exc),))
    try:
        problems = list(_differences(archive, look))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as exc:
        problems = [f"the archive is damaged: {exc}"]
    return ArchiveCheck(sha256=sha256, same=sha256 == archive.sha256, problems=tuple(problems))


def _differences(archive: Archive, look: Look) -> Iterator[str]:
    waiting = {m.name: m for m in archive.members}
    with opened(archive) as tar:
        for info in tar:
            member = waiting.pop(info.name, None)
            if member is None:
                yield f"{info.name}: not in the manifest, or twice"
            elif problem := _problem(tar, info, member, look):
                yield f"{member.name}: {problem}"
    yield from (f"{name}: missing" for name in waiting)


def _problem(tar: tarfile.TarFile, info: tarfile.TarInfo, member: Member, look: Look) -> str:
    if info.type != _TYPES[member.kind] or info.linkname != member.target:
        return "is something else"
    if member.kind is not Kind.FILE:
        return ""
    data = tar.extractfile(info)
    assert data is not None  # it is a regular file
    digest, size = _digest(data, look)
    return "" if (digest, size) == (member.sha256, member.size) else "other bytes than the manifest says"


def _digest(data: IO[bytes], look: Look) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while block := data.read(BLOCK):
        digest.update(block)
        size += len(block)
        look(len(block))
    return digest.hexdigest(), size


def changed_since(archive: Archive, look: Look = nobody_looks) -> tuple[Note, ...]:
    """Files that are no longer what the archive holds, or are gone: named once, where the reading did not name them."""
    known = {n.path for n in archive.notes if n.why is Why.CHANGED}
    found = []
    for member in archive.members:
        place = archive.place(member)
        if member.kind is Kind.FILE and str(place) not in known:
            why = _now(place, member, look)
            found += [Note(why=why, path=str(place))] if why is not None else []
    return tuple(found)


def _now(place: Path, member: Member, look: Look) -> Why | None:
    try:
        handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Why.VANISHED
    except OSError:
        return Why.CHANGED
    with os.fdopen(handle, "rb", buffering=0) as file:
        if os.fstat(handle).st_size != member.size:
            return Why.CHANGED
        digest, size = _digest(file, look)
    return None if (digest, size) == (member.sha256, member.size) else Why.CHANGED

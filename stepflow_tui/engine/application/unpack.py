"""Takes an archive apart beside the places where its files belong. Every byte is compared with the manifest on its way."""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from stepflow_tui.engine.application.archive import BLOCK, Look, nobody_looks
from stepflow_tui.engine.application.archive_check import opened
from stepflow_tui.engine.application.archive_manifest import Archive, Kind, Member, sync_folder
from stepflow_tui.engine.errors import StepFailed

_ZERO = bytes(BLOCK)


def unpack(archive: Archive, drafts: Sequence[Path], look: Look = nobody_looks) -> None:
    """Make every root's content at its draft's path, with modes, owners (where allowed), times, links and holes; blocking.

    Args:
        archive: the archive.
        drafts: one path a root; nothing is there yet.

    Raises:
        StepFailed: `archive_damaged`; what was made stays for the caller to remove.
        OSError: it can't be written.
    """
    known = {m.name: m for m in archive.members}
    waiting = dict(known)
    try:
        with opened(archive) as tar:
            for info in tar:
                member = waiting.pop(info.name, None)
                if member is None:
                    raise _damaged(archive, f"{info.name} is not in the manifest")
                _make(tar, info, known, member, drafts, look)
    except (tarfile.TarError, zlib.error, EOFError) as exc:
        raise _damaged(archive, str(exc)) from exc
    if waiting:
        raise _damaged(archive, f"{next(iter(waiting))} is missing")
    _finish(archive, drafts)


def _damaged(archive: Archive, detail: str) -> StepFailed:
    return StepFailed(
        f"The archive {archive.path} is damaged.",
        detail=detail,
        hint="`stepflow backups list` shows others. Nothing was changed.",
        code="archive_damaged",
    )


def _at(member: Member, drafts: Sequence[Path]) -> Path:
    if member.path.startswith("/") or ".." in Path(member.path).parts:
        raise StepFailed(f"A member of the archive lies outside of it: {member.name}.", code="archive_damaged")
    return drafts[member.root] / member.path if member.path else drafts[member.root]


def _make(
    tar: tarfile.TarFile,
    info: tarfile.TarInfo,
    known: Mapping[str, Member],
    member: Member,
    drafts: Sequence[Path],
    look: Look,
) -> None:
    place = _at(member, drafts)
    if member.kind is Kind.FOLDER:
        place.mkdir(mode=0o700)
    elif member.kind is Kind.FILE:
        data = tar.extractfile(info)
        if data is None or _write(data, place, member, look) != member.sha256:
            raise tarfile.TarError(f"{member.name} has other bytes than the manifest says")
        _dress(place, member)
    elif member.kind is Kind.HARDLINK:
        if member.target not in known:
            raise tarfile.TarError(f"{member.name} is a link to nothing")
        os.link(_at(known[member.target], drafts), place)


def _write(data: IO[bytes], place: Path, member: Member, look: Look) -> str:
    digest = hashlib.sha256()
    handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as file:
        while block := data.read(BLOCK):
            digest.update(block)
            if member.sparse and block == _ZERO[: len(block)]:
                file.seek(len(block), os.SEEK_CUR)
            else:
                file.write(block)
            look(len(block))
        file.truncate(file.tell())
        os.fsync(handle)
    return digest.hexdigest()


def _dress(place: Path, member: Member) -> None:
    with suppress(PermissionError):  # only root may give files away
        os.chown(place, member.uid, member.gid, follow_symlinks=False)
    if member.kind is not Kind.SYMLINK:
        place.chmod(member.mode)
    os.utime(place, ns=(member.mtime_ns, member.mtime_ns), follow_symlinks=False)


def _finish(archive: Archive, drafts: Sequence[Path]) -> None:
    """Symbolic links last, so that nothing was ever written through one; then the folders, the innermost first."""
    for member in archive.members:
        if member.kind is Kind.SYMLINK:
            place = _at(member, drafts)
            place.symlink_to(member.target)
            _dress(place, member)
    for member in reversed(archive.members):
        if member.kind is Kind.FOLDER:
            place = _at(member, drafts)
            sync_folder(place)
            _dress(place, member)

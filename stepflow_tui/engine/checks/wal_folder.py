"""May the application, and may we, make and write the side files of WAL mode beside the database?"""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from stepflow_tui.engine.checks import live_owner
from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.sqlite.connect import shown, side_file
from stepflow_tui.engine.sqlite.processes import allowed, process_of

_WRITE, _WRITE_ENTER = 0o2, 0o3


async def run(ctx: CheckContext) -> list[Finding]:
    """Ours first, then every user that has it open, else the file's owner."""
    found = [*_own(ctx), *await live_owner.run(ctx)]
    if ctx.holders.processes:
        return [*found, *await asyncio.to_thread(lambda: list(_holders(ctx)))]
    return [*found, *_owner(ctx)]


def _own(ctx: CheckContext) -> list[Finding]:
    real = ctx.examined.real
    effective = os.access in os.supports_effective_ids
    closed = [p for p in (real, real.parent) if not os.access(p, os.W_OK, effective_ids=effective)]
    if not closed and not ctx.examined.filesystem.read_only:
        return []
    return [blocking("source_read_only", ctx.source_text, paths=", ".join(map(shown, closed or [real])))]


def _holders(ctx: CheckContext) -> Iterator[Finding]:
    """One finding per user, not per process. Side files get the mode of the database, so who may not write it may not them."""
    real, told = ctx.examined.real, set()
    for holder in ctx.holders.processes:
        process = process_of(holder.pid)
        if process is None or (process.uid, process.groups) in told:
            continue
        told.add((process.uid, process.groups))
        params: dict[str, str | int] = {
            "user": _name(process.uid),
            "uid": process.uid,
            "holder": f"pid {process.pid} ({process.command})",
        }
        if not process.may(real.parent, _WRITE_ENTER) and not _listed(real.parent):
            yield blocking("wal_folder_not_writable", ctx.source_text, folder=shown(real.parent), **params)
        elif closed := [p for p in _files(real) if not process.may(p, _WRITE) and not _listed(p)]:
            yield warning("wal_file_not_writable", ctx.source_text, files=", ".join(map(shown, closed)), **params)


def _files(real: Path) -> list[Path]:
    """The database, and the side files of WAL mode that stand there: another user may have left them."""
    return [real, *(p for p in (side_file(real, "-wal"), side_file(real, "-shm")) if p.exists())]


def _owner(ctx: CheckContext) -> list[Finding]:
    """Nobody has it open: the application is most likely the file's owner."""
    status, folder = ctx.examined.real.stat(), ctx.examined.real.parent
    if status.st_uid == 0 or _listed(folder):
        return []
    if allowed(folder.stat(), status.st_uid, _groups(status.st_uid, status.st_gid), _WRITE_ENTER):
        return []
    return [
        warning("wal_folder_owner", ctx.source_text, user=_name(status.st_uid), uid=status.st_uid, folder=shown(folder))
    ]


def _listed(path: os.PathLike[str]) -> bool:
    """Whether an access list decides, which the nine bits don't show: then nothing is claimed."""
    try:
        return "system.posix_acl_access" in os.listxattr(path)
    except OSError:
        return False


def _groups(uid: int, gid: int) -> frozenset[int]:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return frozenset({gid})
    return frozenset(os.getgrouplist(user.pw_name, user.pw_gid))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

"""What surrounds runs: backups and the embedded server."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stepflow_tui.engine.application.archive_check import check_archive
from stepflow_tui.engine.application.archive_manifest import Archive, archive_of, read_archive
from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.facade.look import HasRun
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.postgres.embedded import Embedded
from stepflow_tui.engine.sqlite import backups as kept
from stepflow_tui.engine.sqlite.backup import Backup, read_manifest
from stepflow_tui.engine.steps.restoring.sets import bare_row, made_sets, row_of, run_set

ADMIN_DATABASE = "postgres"


def backups(state: Path, run: HasRun | None) -> Sequence[Mapping[str, Any]]:
    """Backups of this state directory, of runs and made outside of them, newest first: set run kind path bytes sha256
    verified made_at archive archive_bytes files."""
    folders = [run.path] if run is not None else [p for p in (state / "runs").glob("*") if p.is_dir()]
    rows = [row_of(made) if (made := run_set(folder)) is not None else bare_row(folder) for folder in folders]
    rows += [row_of(made) for made in made_sets(state)] if run is None else []
    return sorted((r for r in rows if r is not None), key=lambda r: str(r["made_at"]), reverse=True)


async def verify_backup(path: Path) -> Mapping[str, Any]:
    """Hash, `integrity_check` and `foreign_key_check` of a database's backup, and every member of the archive beside it; or
    an archive alone: path sha256 expected verified reason archive."""
    alone = read_archive(path)
    if alone is not None:
        return {**await _archive_checked(replace(alone, path=str(path))), "archive": None}
    backup = _manifest(path)
    check = await kept.verify_backup(backup)
    reason = (
        ""
        if check.verified
        else ("the bytes are not those of the manifest" if check.test is None else "integrity_check found damage")
    )
    archive = read_archive(archive_of(path))
    beside = await _archive_checked(replace(archive, path=str(archive_of(path)))) if archive is not None else None
    return {
        "path": str(path),
        "sha256": check.sha256,
        "expected": backup.sha256,
        "verified": check.verified and (beside is None or beside["verified"]),
        "reason": reason or (beside["reason"] if beside is not None else ""),
        "archive": beside,
    }


async def _archive_checked(archive: Archive) -> dict[str, Any]:
    check = await asyncio.to_thread(check_archive, archive)
    reason = "; ".join(check.problems[:3]) or ("" if check.same else "the bytes are not those of the manifest")
    return {
        "path": archive.path,
        "sha256": check.sha256,
        "expected": archive.sha256,
        "verified": check.verified,
        "reason": reason,
        "files": archive.files,
    }


async def restore_backup(path: Path, to: Path) -> Mapping[str, Any]:
    """Put a backup in the place of a database; database, -wal, -shm and -journal move aside as one set."""
    done = await kept.restore_backup(_manifest(path), to, stamp=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    return {"target": done.target, "aside": list(done.aside), "sha256": done.sha256}


def _manifest(path: Path) -> Backup:
    backup = read_manifest(path)
    if backup is None or not path.exists():
        raise UsageError(
            f"{path} is not a finished backup.",
            detail="Its manifest is missing.",
            hint="`stepflow backups list` shows them.",
            code="no_backup",
        )
    return replace(backup, path=str(path))  # the manifest knows the place it was made in; the file may have been moved


async def embedded(state: Path, action: str) -> Mapping[str, Any]:
    """`start`, `stop` or `dsn` of the embedded PostgreSQL: running dsn folder version pid."""
    server = Embedded(StateDir.open(state, os.environ).path)
    if action == "stop":
        await server.stop()
        return await _embedded_facts(server, None)
    await server.start()
    try:
        await server.pin()
        return await _embedded_facts(server, server.target(ADMIN_DATABASE).application_uri())
    finally:
        await server.release()


async def _embedded_facts(server: Embedded, dsn: str | None) -> Mapping[str, Any]:
    status = await server.status()
    return {
        "running": status.running,
        "dsn": dsn,
        "folder": status.folder,
        "pid": status.pid,
        "pinned": status.pinned,
        "version": status.version,
    }

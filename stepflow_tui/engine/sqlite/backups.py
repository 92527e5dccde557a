"""Owns looking after finished backups: list, verify, prune, restore and undo of a restore."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import Refused, StepFailed
from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.sqlite.backup import Backup, manifest_of, read_manifest, remove_backup
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import SUFFIXES, real_path, side_file
from stepflow_tui.engine.sqlite.file_locks import users_of
from stepflow_tui.engine.sqlite.fingerprint import content_sha256
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.mark import refuse_marked
from stepflow_tui.engine.sqlite.restore_test import RestoreTest, restore_test

_CHILD = "stepflow_tui.engine.sqlite.backup_child"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupCheck:
    """Whether a backup is what its manifest says. `test` is None when the bytes are not even the same."""

    backup: Backup
    sha256: str
    test: RestoreTest | None

    @property
    def verified(self) -> bool:
        """The same bytes, and sound."""
        return self.test is not None and self.test.sound


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A restore that was carried out. `aside` are the names the old set has now, the database first; empty if none was there."""

    target: str
    aside: tuple[str, ...]
    sha256: str


def list_backups(folders: Iterable[Path]) -> list[Backup]:
    """Finished backups in these folders, newest first; files without a readable manifest are not backups."""
    found = []
    for folder in folders:
        for manifest in sorted(folder.glob("*.json")):
            file = manifest.with_suffix("")
            backup = read_manifest(file)
            if backup is not None and backup.file == file and file.exists():
                found.append(backup)
    return sorted(found, key=lambda b: b.made_at_ms, reverse=True)


async def verify_backup(backup: Backup, *, control: Control | None = None) -> BackupCheck:
    """Read the backup again: its hash, then `integrity_check` and `foreign_key_check`.

    Raises:
        Refused: `source_corrupt`, the file can't be opened at all.
        StepFailed: it can't be read.
    """
    sha256 = await content_sha256(backup.file, control=control)
    same = sha256 == backup.sha256
    return BackupCheck(
        backup=backup, sha256=sha256, test=await restore_test(backup.file, control=control) if same else None
    )


def prune_backups(backups: Iterable[Backup], *, keep: int, protected: Collection[str]) -> list[Backup]:
    """Remove all but the newest backups of each source.

    Args:
        backups: as `list_backups` gives them.
        keep: how many stay per source.
        protected: paths of backups that unfinished runs read; they are never touched and don't count.

    Returns:
        The removed ones.
    """
    kept: dict[str, int] = {}
    removed = []
    for backup in sorted(backups, key=lambda b: b.made_at_ms, reverse=True):
        if backup.path in protected:
            continue
        kept[backup.source_path] = kept.get(backup.source_path, 0) + 1
        if kept[backup.source_path] > keep:
            remove_backup(backup.file)
            removed.append(backup)
    return removed


async def copy_backup(backup: Backup, folder: Path, *, control: Control | None = None) -> Path:
    """Put a copy (with its manifest's hash proven) into a further folder; an equal one that is there stays.

    Raises:
        DiskFull: no room; nothing is left behind.
        StepFailed: `backup_copy_differs`.
    """
    copy = folder / backup.file.name
    with sqlite_errors(f"The backup folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if copy.exists() and await content_sha256(copy, control=control) == backup.sha256:
        return copy
    copy.unlink(missing_ok=True)
    await _copy(backup, copy, control)
    return copy


async def _copy(backup: Backup, copy: Path, control: Control | None) -> None:
    request = {"op": "copy", "path": path_text(backup.file), "copy": path_text(copy)}
    made = await run_child(_CHILD, request, control=control)
    if made["sha256"] != backup.sha256:
        copy.unlink(missing_ok=True)
        raise StepFailed(
            f"The copy {copy} differs from what the backup's manifest says.",
            detail=f"sha256 {made['sha256']}, expected {backup.sha256}",
            hint="`stepflow backups verify` tells which backups are sound.",
            code="backup_copy_differs",
        )


async def restore_backup(backup: Backup, target: Path, *, stamp: str, control: Control | None = None) -> Restored:
    """Put a backup in the place of a database. The old database and its side files move aside as one set.

    The old set stays openable under its new name. A `-wal` left beside a restored file would be replayed into it, which
    is why the four files always move together.

    Args:
        backup: the backup.
        target: where the database belongs; symlinks are followed.
        stamp: makes the new names unique, such as a run id or a UTC time.

    Raises:
        Refused: `source_migrated`, `source_in_use`, `restore_name_taken`.
        DiskFull, StepFailed: nothing was changed.
    """
    real = real_path(target)
    refuse_marked(real)
    await refuse_in_use(real)
    aside = real.with_name(f"{real.name}.before-restore-{stamp}")
    draft = real.with_name(f".{real.name}.restoring-{stamp}")
    if aside.exists() or draft.exists():
        raise Refused(
            f"{aside} is already there.",
            hint="An earlier restore used the same name: look at it, move it away, then restore again.",
            code="restore_name_taken",
        )
    await _copy(backup, draft, control)
    try:
        with sqlite_errors(f"The restore of {real}"):
            _take_over_rights(draft, real)
            await refuse_in_use(real)
            moved = _move_set(real, aside)
            _put_in_place(draft, real, moved)
    finally:
        draft.unlink(missing_ok=True)
    return Restored(target=str(real), aside=tuple(str(new) for _, new in moved), sha256=backup.sha256)


async def undo_restore(restored: Restored, *, stamp: str) -> tuple[str, ...]:
    """Bring the old set back; the restored database moves aside as a set of its own, whose names are returned.

    Raises:
        Refused: `source_in_use`, or `restore_not_undoable` when the old set is gone.
    """
    real = Path(restored.target)
    await refuse_in_use(real)
    if not restored.aside or not all(Path(name).exists() for name in restored.aside):
        raise Refused(
            f"The database that was at {real} before the restore is not there any more.",
            detail=", ".join(restored.aside),
            hint="Restore another backup: `stepflow backups list`.",
            code="restore_not_undoable",
        )
    with sqlite_errors(f"The undo of the restore of {real}"):
        moved = _move_set(real, real.with_name(f"{real.name}.restored-{stamp}"))
        old = Path(restored.aside[0])
        back = [
            (Path(name), real.with_name(real.name + Path(name).name.removeprefix(old.name))) for name in restored.aside
        ]
        _move(back)
    return tuple(str(new) for _, new in moved)


async def refuse_in_use(real: Path) -> None:
    """Stop while a process has the database open. Where processes of other users can't be looked at, their locks tell.

    Raises:
        Refused: `source_in_use`, the detail names the processes.
    """
    holders = await users_of(real)
    if holders.processes:
        raise Refused(
            f"{real} is in use.",
            detail=holders.text,
            hint="Stop these processes, then try again.",
            code="source_in_use",
        )


def _move_set(real: Path, aside: Path) -> list[tuple[Path, Path]]:
    # The database first: if this stops halfway, the application finds no database, never one without its -wal.
    names = [("", real), *((suffix, side_file(real, suffix)) for suffix in SUFFIXES)]
    moves = [(path, aside.with_name(aside.name + suffix)) for suffix, path in names if path.exists()]
    _move(moves)
    return moves


def _move(moves: list[tuple[Path, Path]]) -> None:
    done: list[tuple[Path, Path]] = []
    try:
        for old, new in moves:
            old.rename(new)
            done.append((old, new))
    except OSError:
        for old, new in reversed(done):
            new.rename(old)
        raise


def _put_in_place(draft: Path, real: Path, moved: list[tuple[Path, Path]]) -> None:
    try:
        draft.rename(real)
    except OSError:
        _move([(new, old) for old, new in moved])
        raise
    descriptor = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_over_rights(draft: Path, real: Path) -> None:
    """The application must be able to open the restored file as it could open the old one."""
    try:
        status = real.stat()
    except FileNotFoundError:
        return
    with suppress(PermissionError):  # only root may give files away; the mode is set in any case
        os.chown(draft, status.st_uid, status.st_gid)
    draft.chmod(status.st_mode & 0o777)


__all__ = [
    "BackupCheck", "Restored", "copy_backup", "list_backups", "manifest_of", "prune_backups", "refuse_in_use",
    "restore_backup", "undo_restore", "verify_backup",
]  # fmt: skip

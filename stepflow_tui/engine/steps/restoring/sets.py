"""Sets of backups: a database's backup and the archive of the application's files, of runs and made outside of them."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.application.archive_manifest import Archive, archive_of, read_archive, remove_archive
from stepflow_tui.engine.application.archiving import archive_files, findings_of
from stepflow_tui.engine.application.putting_back import unfinished
from stepflow_tui.engine.errors import Held, StepFlowError, UsageError
from stepflow_tui.engine.journal.reader import RunReader, peek_state
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.model.control import FreeRunning, silent
from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.sqlite.backup import Backup, make_backup, read_manifest, remove_backup
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.examine import examine
from stepflow_tui.engine.sqlite.restore_test import refuse_damaged, restore_test
from stepflow_tui.engine.steps.application.service_backup import wanted_of
from stepflow_tui.engine.texts import render

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig

FOLDER = "backups"
RESTORES = "restores"
ENDING = ".set.json"
_PART = re.compile(r"\.?(.+-\d{8}T\d{6}-[0-9a-f]{4})\.(?:db|files\.tar\.gz|partial)")
"""Names of what belongs to a set, and its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSet:
    """One set. `run`: a run made it; otherwise `backups make`. `source` is where the database belongs."""

    id: str
    name: str
    environment: str
    run: bool
    verified: bool
    made_at_ms: int
    source: Path
    backup: Backup
    archive: Archive | None

    @property
    def production(self) -> bool:
        """Whether its name has to be typed."""
        return self.environment == "production"


async def make_set(loaded: LoadedConfig, state: Path) -> dict[str, Any]:
    """Back up database and files outside a run, prove both, and remove sets beyond `backup.keep`.

    Returns:
        {set path sha256 bytes archive archive_sha256 files removed[…] notes[…]}.

    Raises:
        Held: another one is being made.
        StepFlowError: it can't be made; nothing is left behind.
    """
    folder = StateDir.open(state, os.environ).path / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with alone(folder):
        await asyncio.to_thread(_clear, folder)
        made = await _make(loaded, state, folder, _new_id(loaded.config.name))
        removed = await asyncio.to_thread(_prune, state, made, loaded.config.backup.keep)
    archive = made.archive
    assert archive is not None  # the config itself is always archived
    words = [render(f) for f in findings_of(archive)]
    return {
        **row_of(made),
        "archive_sha256": archive.sha256,
        "complete": archive.complete,
        "removed": removed,
        "notes": [f"{w.what} {w.fix}" for w in words],
    }


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Held(
            "Another backup or restore is at work in this state directory.",
            hint="Wait until it has ended, then try again.",
            code="backups_held",
        ) from None
    finally:
        os.close(handle)


def _new_id(name: str) -> str:
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{name}-{at}-{secrets.token_hex(2)}"


async def _make(loaded: LoadedConfig, state: Path, folder: Path, id_: str) -> BackupSet:
    config = loaded.config
    path = (Path(config.backup.dir) if config.backup.dir is not None else folder) / f"{id_}.db"
    control, now_ms = FreeRunning(), time.time_ns() // 1_000_000
    examined = await examine(config.source.path)
    backup = await make_backup(
        examined, path.parent, name=path.name, control=control, report=silent, deadline_s=config.backup.deadline,
        now_ms=now_ms, stall_s=config.source.allow_stall,
    )  # fmt: skip
    try:
        refuse_damaged(await restore_test(path, control=control), examined.real)
        wanted = wanted_of(config, loaded.path, archive_of(path), state)
        archive = await archive_files(wanted, now_ms=now_ms, control=control, report=silent)
        made = BackupSet(
            id=id_, name=config.name, environment=config.environment, run=False, verified=True, made_at_ms=now_ms,
            source=examined.real, backup=backup, archive=archive,
        )  # fmt: skip
        await asyncio.to_thread(_record, folder, made)
    except BaseException:
        remove_backup(path)
        remove_archive(archive_of(path))
        raise
    return made


def _record(folder: Path, made: BackupSet) -> None:
    """Written last: without it the set does not exist."""
    data = {
        "id": made.id, "name": made.name, "environment": made.environment, "made_at_ms": made.made_at_ms,
        "source": str(made.source), "database": made.backup.path,
    }  # fmt: skip
    draft, final = folder / f".{made.id}.partial", folder / f"{made.id}{ENDING}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(handle)
    draft.replace(final)


def _clear(folder: Path) -> None:
    """What a killed `backups make` left: a database or an archive without the record that makes them a set."""
    for file in folder.iterdir():
        found = _PART.match(file.name)
        if found is not None and not (folder / f"{found[1]}{ENDING}").exists():
            file.unlink(missing_ok=True)


def _prune(state: Path, newest: BackupSet, keep: int) -> list[str]:
    """Remove older sets of the same source, whole; never one that a restore which is not finished puts back."""
    needed = {newest.id, *(r.record.what for r in unfinished(state / RESTORES))}
    mine = [s for s in made_sets(state) if s.source == newest.source and s.id not in needed]
    removed = []
    for old in mine[max(0, keep - 1) :]:
        (state / FOLDER / f"{old.id}{ENDING}").unlink(missing_ok=True)
        remove_backup(old.backup.file)
        remove_archive(archive_of(old.backup.file))
        removed.append(old.id)
    return removed


def made_sets(state: Path) -> list[BackupSet]:
    """Sets made outside runs, newest first; those whose database is gone are left out."""
    found = [_read_set(file) for file in (state / FOLDER).glob(f"*{ENDING}")]
    return sorted((s for s in found if s is not None), key=lambda s: s.made_at_ms, reverse=True)


def _read_set(file: Path) -> BackupSet | None:
    try:
        data = json.loads(file.read_text("ascii"))
        path = Path(data["database"])
        backup = read_manifest(path)
        if backup is None or not path.exists():
            return None
        return BackupSet(
            id=data["id"], name=data["name"], environment=data["environment"], run=False, verified=True,
            made_at_ms=data["made_at_ms"], source=Path(data["source"]), backup=backup, archive=read_archive(archive_of(path)),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def run_set(run_dir: Path) -> BackupSet | None:
    """The set of a run; None when it has made no backup, or it is gone."""
    try:
        with RunReader(run_dir) as reader:
            row, run = reader.backup(), reader.run()
    except StepFlowError:
        return None
    if row is None or run is None or not Path(row["path"]).exists():
        return None
    backup = read_manifest(Path(row["path"]))
    source = (run.get("source") or {}).get("path")
    if backup is None or source is None:
        return None
    return BackupSet(
        id=run_dir.name, name=run["name"], environment=run["environment"], run=True, verified=bool(row["verified"]),
        made_at_ms=row["at_ms"], source=real_path(source), backup=backup, archive=read_archive(archive_of(Path(row["path"]))),
    )  # fmt: skip


def bare_row(run_dir: Path) -> dict[str, Any] | None:
    """What a list shows of a run's backup that is no set: that of an empty source, or one whose manifest is gone."""
    try:
        with RunReader(run_dir) as reader:
            row = reader.backup()
    except StepFlowError:
        return None
    if row is None or not Path(row["path"]).exists():
        return None
    kept = {k: row[k] for k in ("path", "bytes", "sha256")}
    nothing = dict.fromkeys(("archive", "archive_bytes", "files"))
    return {"set": run_dir.name, "run": run_dir.name, "kind": "run", **kept, "verified": bool(row["verified"]),
            "made_at": iso_utc(row["at_ms"]), **nothing}  # fmt: skip


def find_set(state: Path, named: str, *, run: bool = False) -> BackupSet:
    """One that was made outside of runs (id or prefix), or that of a run (id, prefix or name); `run`: only of a run.

    Raises:
        UsageError: there is none, or several fit.
    """
    made = [s for s in made_sets(state) if s.id.startswith(named)] if not run else []
    exact = [s for s in made if s.id == named]
    if len(exact or made) == 1:
        return (exact or made)[0]
    if len(made) > 1:
        listed = "\n".join(s.id for s in made)
        raise UsageError(
            f"{named!r} fits several sets.", detail=listed, hint="Type more of the id.", code="ambiguous_set"
        )
    entry = StateDir.open(state, os.environ, create=False).resolve(named, peek_state)
    found = run_set(entry.path)
    if found is None:
        raise UsageError(
            f"The run {entry.id} has no backup that could be put back.",
            hint="`stepflow backups list` shows what there is.",
            code="no_backup",
        )
    return found


def row_of(found: BackupSet) -> dict[str, Any]:
    """A set as lists show it."""
    archive = found.archive
    return {
        "set": found.id,
        "run": found.id if found.run else None,
        "kind": "run" if found.run else "made",
        "path": found.backup.path,
        "bytes": found.backup.bytes,
        "sha256": found.backup.sha256,
        "verified": found.verified,
        "made_at": iso_utc(found.made_at_ms),
        "archive": archive.path if archive is not None else None,
        "archive_bytes": archive.bytes if archive is not None else None,
        "files": archive.files if archive is not None else None,
    }

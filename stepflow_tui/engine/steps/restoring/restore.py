"""`backups restore --everything`: database, folders and configs put back as one set, whatever kills it on the way."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.engine.application.archive_check import changed_since, check_archive
from stepflow_tui.engine.application.archive_manifest import Archive, printable
from stepflow_tui.engine.application.putting_back import (
    Place,
    Restore,
    Stage,
    place_of,
    plan_moves,
    read_all,
    unfinished,
)
from stepflow_tui.engine.application.unpack import unpack
from stepflow_tui.engine.errors import Held, Refused, StepFailed, StepFlowError
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.journal.reader import RunReader, peek_state
from stepflow_tui.engine.journal.rundir import StateDir, engine_alive
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import PhaseName, RunState
from stepflow_tui.engine.sqlite.alone import nobody_else
from stepflow_tui.engine.sqlite.backup import Backup
from stepflow_tui.engine.sqlite.backups import copy_backup, refuse_in_use, verify_backup
from stepflow_tui.engine.sqlite.connect import SUFFIXES, real_path, side_file
from stepflow_tui.engine.sqlite.fence import fence_state
from stepflow_tui.engine.sqlite.fingerprint import content_sha256
from stepflow_tui.engine.steps.restoring.own_config import OwnConfig
from stepflow_tui.engine.steps.restoring.sets import FOLDER, RESTORES, BackupSet, alone, find_set

ALONE_SECONDS = 3.0
"""How long users that can't be seen are waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    state: Path
    found: BackupSet
    stamp: str
    own: str
    config: Path | None

    @property
    def target(self) -> Path:
        return self.found.source


def about_set(state: Path, named: str, *, run: bool = False) -> dict[str, Any]:
    """What a set would put back, for the question before it: {set name production target places[…] unfinished}."""
    found = find_set(state, named, run=run)
    archive = found.archive
    return {
        "set": found.id,
        "name": found.name,
        "production": found.production,
        "target": printable(str(found.source)),
        "places": [printable(r.path) for r in archive.roots] if archive is not None else [],
        "unfinished": any(r.record.what == found.id for r in unfinished(state / RESTORES)),
    }


async def restore_everything(state: Path, named: str, *, own: str = "", config: Path | None = None) -> dict[str, Any]:
    """Put a set back: what is there moves aside as one set first. A restore that was killed is finished, or undone, first.

    Args:
        own: it is the engine of that very run that asks, for this rollback; `put_back_for` tells of it afterwards.
        config: that engine's config, which is never missing in between.

    Returns:
        {set target places[…] sha256 aside[…] strangers[…] files verified finished}; `finished`: an earlier restore of this
        set had been killed on its way, and this one only went on with it.

    Raises:
        Refused: `source_in_use`, `postgres_owns_writes`, `backup_damaged`, `restore_conflict`: nothing was changed.
        Held: an engine works on this database, or another restore.
        DiskFull, StepFailed: `restore_undone`, `restore_failed`, `restore_differs`.
    """
    state = StateDir.open(state, os.environ).path
    (state / FOLDER).mkdir(mode=0o700, exist_ok=True)
    with alone(state / FOLDER):
        found = find_set(state, named)
        job = _Job(state=state, found=found, stamp=_new_stamp(state), own=own, config=config)
        await _refuse(job)
        left = await _left(job)
        restore = left if left is not None else await _prepare(job)
        await _carry_out(job, restore)
        return await _proven(job, restore, finished=left is not None)


def put_back_for(state: Path, run: str, own: str) -> dict[str, Any] | None:
    """What the restore that a rollback asked for has left, in the words of `restore_everything`; None: there is none yet."""
    done = [r for r in read_all(state / RESTORES) if r.what == run and r.why == own and r.stage is Stage.DONE]
    if not done:
        return None
    return {
        "set": run,
        "aside": [printable(new) for r in done for _, new in r.away if os.path.lexists(new)],
        "strangers": [printable(p) for r in done for p in r.strangers],
    }


def half_way(state: Path, run: str) -> bool:
    """Whether a restore of a run's set was killed after its first move: only finishing it makes things whole."""
    return any(r.record.what == run and _forward(r) for r in unfinished(state / RESTORES))


def _forward(restore: Restore) -> bool:
    return restore.record.stage in (Stage.AWAY, Stage.INTO)


async def _refuse(job: _Job) -> None:
    await refuse_in_use(job.target)
    for entry in StateDir.open(job.state, os.environ).runs(peek_state):
        if _source_of(entry.path) == job.target and not (job.own and entry.id == job.found.id):
            _refuse_run(entry.path)
    if await _fenced(job.target):
        raise owned(f"the run that fenced {printable(str(job.target))}")


async def _fenced(path: Path) -> bool:
    """Whether the file itself says that its writes have moved; one without capture, or none at all, says nothing."""
    try:
        return (await fence_state(path)).owner is Owner.POSTGRESQL
    except StepFlowError:
        return False


def _source_of(run_dir: Path) -> Path | None:
    try:
        with RunReader(run_dir) as reader:
            run = reader.run() or {}
    except StepFlowError:
        return None
    path = (run.get("source") or {}).get("path")
    return real_path(path) if path else None


def _refuse_run(run_dir: Path) -> None:
    """Neither under a working engine, nor where writes have moved: the old file would be taken for the current one."""
    if engine_alive(run_dir):
        raise Held(
            f"The engine of {run_dir.name} works on this database.",
            hint=f"`stepflow abort {run_dir.name}` or `stepflow rollback {run_dir.name}` ends it.",
            code="engine_held",
        )
    with RunReader(run_dir) as reader:
        run, owner = reader.run() or {}, reader.gauges().get("live", {}).get("owner")
        cut = [s for s in reader.steps() if s["phase"] == PhaseName.CUTOVER.value and s["state"] in ("running", "done")]
    moved = owner == Owner.POSTGRESQL.value or (run.get("mode") == Mode.OFFLINE.value and bool(cut))
    if moved and run.get("state") != RunState.ROLLED_BACK.value:
        raise owned(run_dir.name)


def owned(run: str) -> Refused:
    """Why a database must not be put back under writes that have moved."""
    return Refused(
        f"PostgreSQL owns the writes of {run}: the file that would be put back is older than what is there.",
        hint=f"`stepflow rollback {run}` takes the writes back first. A single file: `stepflow backups restore FILE --to`.",
        code="postgres_owns_writes",
    )


async def _left(job: _Job) -> Restore | None:
    """An earlier restore of this set that was on its way: it is finished. One that had moved nothing is cleared away."""
    for restore in await asyncio.to_thread(unfinished, job.state / RESTORES):
        forward = _forward(restore)
        if forward and restore.record.what != job.found.id:
            raise Refused(
                f"A restore of {restore.record.what} was killed half-way.",
                hint=f"Finish it first: `stepflow backups restore --set {restore.record.what}`.",
                code="restore_unfinished",
            )
        if forward:
            restore.record.why = job.own or restore.record.why
            return restore
        await asyncio.to_thread(restore.undo)
        _config(job, restore).undo()
    return None


async def _prepare(job: _Job) -> Restore:
    """Prove the set, make everything beside its place. Nothing has moved yet."""
    await _sound(job.found)
    restore = await asyncio.to_thread(Restore.begin, _folder(job), job.found.id, why=job.own)
    with _undone(job, restore):
        places, database = _places(job), _database(job)
        drafts = [*(str(p.draft) for p in (*places, database)), str(_folder_of(database))]
        restore.record.drafts = [*drafts, *_config(job, restore).drafts]
        restore.save()
        await asyncio.to_thread(_stage, job.found.archive, places)
        await _stage_database(job.found.backup, database)
        failpoint("restore_staged")
    return restore


async def _carry_out(job: _Job, restore: Restore) -> None:
    """Write down the moves and make them, while nobody can get at the database."""
    with _undone(job, restore):
        async with nobody_else(job.target, wait=ALONE_SECONDS):
            if restore.record.stage is Stage.STAGING:
                await asyncio.to_thread(_plan, job, restore)
                await asyncio.to_thread(_config(job, restore).exchange)
                restore.advance(Stage.AWAY)
            await asyncio.to_thread(restore.go)


@contextmanager
def _undone(job: _Job, restore: Restore) -> Iterator[None]:
    """Nothing is left of a restore that ends before its first move, or was undone."""
    try:
        yield
    except BaseException as exc:
        if restore.record.stage is Stage.UNDONE:
            _config(job, restore).undo()
        if restore.record.stage is not Stage.STAGING:
            raise
        restore.undo()
        _config(job, restore).undo()
        if not isinstance(exc, OSError):
            raise
        raise StepFailed(
            "The restore could not be prepared; nothing was changed.",
            detail=str(exc),
            hint="Make room, or correct the rights of these folders, then restore again.",
            code="restore_undone",
        ) from exc


def _new_stamp(state: Path) -> str:
    """Names the restore, its drafts and what it moves aside: a second that no restore before had."""
    known = {r.id for r in read_all(state / RESTORES)}
    base = stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number = 2
    while stamp in known:
        stamp, number = f"{base}-{number}", number + 1
    return stamp


async def _sound(found: BackupSet) -> None:
    check = await verify_backup(found.backup)
    archive = await asyncio.to_thread(check_archive, found.archive) if found.archive is not None else None
    if check.verified and (archive is None or archive.verified):
        return
    what = found.backup.path if not check.verified or found.archive is None else found.archive.path
    detail = "; ".join(archive.problems[:3]) if archive is not None and check.verified else f"sha256 {check.sha256}"
    raise Refused(
        f"{what} is not what its manifest says: it is not put back.",
        detail=detail,
        hint="`stepflow backups list` shows other sets. Nothing was changed.",
        code="backup_damaged",
    )


def _places(job: _Job) -> list[Place]:
    archive = job.found.archive
    return [place_of(Path(r.path), job.stamp, folder=r.folder) for r in archive.roots] if archive is not None else []


def _database(job: _Job) -> Place:
    return place_of(job.target, job.stamp, folder=False)


def _config(job: _Job, restore: Restore) -> OwnConfig:
    return OwnConfig(job.config, restore.record.id)


def _folder(job: _Job) -> Path:
    return job.state / RESTORES / job.stamp


def _stage(archive: Archive | None, places: list[Place]) -> None:
    for place in places:
        place.draft.parent.mkdir(parents=True, exist_ok=True)
    if archive is not None:
        unpack(archive, [p.draft for p in places])


async def _stage_database(backup: Backup, place: Place) -> None:
    await asyncio.to_thread(place.draft.parent.mkdir, parents=True, exist_ok=True)
    copy = await copy_backup(backup, _folder_of(place))
    await asyncio.to_thread(_take_over, copy, place)


def _folder_of(place: Place) -> Path:
    """Where the database's copy is made: it has the backup's name until it is proven."""
    return place.draft.with_name(place.draft.name + ".folder")


def _take_over(copy: Path, place: Place) -> None:
    """The application must be able to open the restored file as it could open the old one."""
    with suppress(FileNotFoundError):
        facts = place.target.stat()
        with suppress(PermissionError):  # only root may give files away
            os.chown(copy, facts.st_uid, facts.st_gid)
        copy.chmod(facts.st_mode & 0o777)
    copy.rename(place.draft)
    copy.parent.rmdir()


def _plan(job: _Job, restore: Restore) -> None:
    """The database goes first and comes last: an application that starts too early finds none, never half of one."""
    config, database = _config(job, restore), _database(job)
    places = config.take_out(_places(job))
    record, archive = restore.record, job.found.archive
    sides = [side_file(job.target, s) for s in SUFFIXES]
    own = [job.state, job.found.backup.file.parent, *([archive.file.parent] if archive is not None else [])]
    stays = {real_path(p) for p in own} | config.stays | {job.target, *sides} | {database.draft, database.aside}
    record.away = [
        (str(path), str(database.aside) + path.name.removeprefix(job.target.name))
        for path in (job.target, *sides)
        if os.path.lexists(path)
    ]
    into = []
    for place in places:
        away, back = plan_moves(place, stays)
        record.away += away
        into += back
    record.into = [*into, (str(database.draft), str(job.target))]


async def _proven(job: _Job, restore: Restore, *, finished: bool) -> dict[str, Any]:
    """Compare what is there now with the manifests."""
    record, archive = restore.record, job.found.archive
    differing = [n.path for n in await asyncio.to_thread(changed_since, archive)] if archive is not None else []
    if await content_sha256(job.target) != job.found.backup.sha256:
        differing.append(str(job.target))
    if differing:
        raise StepFailed(
            "What was put back is not what the manifest says any more.",
            detail=", ".join(printable(p) for p in differing[:5]),
            hint=f"Did something write there meanwhile? What was there before lies in {', '.join(map(printable, restore.aside[:5]))}.",
            code="restore_differs",
        )
    return {
        "set": job.found.id,
        "target": printable(str(job.target)),
        "places": [printable(r.path) for r in archive.roots] if archive is not None else [],
        "sha256": job.found.backup.sha256,
        "files": archive.files if archive is not None else 0,
        "aside": [printable(p) for p in (*restore.aside, *_config(job, restore).aside)],
        "strangers": [printable(p) for p in record.strangers],
        "verified": True,
        "finished": finished,
    }

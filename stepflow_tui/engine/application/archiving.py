"""Owns an archive from the config to its proof: made, read again, compared with the files, described by findings."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from stepflow_tui.engine.application.archive import LeaveOut, Look, make_archive
from stepflow_tui.engine.application.archive_check import ArchiveCheck, changed_since, check_archive
from stepflow_tui.engine.application.archive_manifest import (
    Archive,
    Note,
    Why,
    printable,
    remove_archive,
    write_manifest,
)
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.control import Control, Report
from stepflow_tui.engine.model.finding import Finding, info, warning
from stepflow_tui.engine.model.progress import Progress

T = TypeVar("T")
STEP = "service-backup"
NAMED = 10
"""Paths that a finding lists; the manifest has them all."""
_GRAVE = frozenset({Why.UNREADABLE, Why.CHANGED, Why.DATABASE, Why.OUTSIDE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is archived, where to, and for how long that may take (seconds of work, pauses not counted)."""

    places: tuple[Path, ...]
    dest: Path
    leave_out: LeaveOut
    deadline: float


def places_of(config: Config, config_path: Path) -> tuple[Path, ...]:
    """Folders and files of `application.backup`, the config itself, and the files of settings that it names, if they are there."""
    application, files = config.application, [config_path]
    files += [s.file for s in application.switches]
    files += [application.env.file] if application.env is not None else []
    named = config.database_env.file if config.database_env is not None else None
    files += [named if named is not None else config_path.parent / ".env"] if config.database_env is not None else []
    return (*application.backup, *(f for f in dict.fromkeys(files) if f.is_file()))


async def archive_files(wanted: Wanted, *, now_ms: int, control: Control, report: Report) -> Archive:
    """Make the archive and prove it: every member is read from it again, and compared with the manifest and the file.

    Raises:
        Refused: `archive_place_missing`.
        DiskFull, StepFailed: `archive_failed`, `archive_deadline`, `archive_unsound`; nothing is left behind.
        Stopping: by `control`.
    """
    watch = _Watch(control, report, wanted.deadline)
    made = await watch.thread(
        lambda look: make_archive(wanted.places, wanted.dest, leave_out=wanted.leave_out, now_ms=now_ms, look=look)
    )
    try:
        check = await watch.thread(lambda look: check_archive(made, look))
        if not check.verified:
            raise _unsound(made, check)
        changed = await watch.thread(lambda look: changed_since(made, look))
        proven = replace(made, notes=(*made.notes, *changed))
        await asyncio.to_thread(write_manifest, proven)
    except BaseException:
        await asyncio.to_thread(remove_archive, made.file)
        raise
    return proven


def _unsound(archive: Archive, check: ArchiveCheck) -> StepFailed:
    return StepFailed(
        f"The archive {archive.path} is not what was written to it.",
        detail="; ".join(check.problems[:5]) or f"sha256 {check.sha256}, expected {archive.sha256}",
        hint="Is the disk sound? Name another `backup.dir`, then run again.",
        code="archive_unsound",
    )


class _Watch:
    """Lets the blocking work be paused, stopped and timed."""

    def __init__(self, control: Control, report: Report, deadline: float) -> None:
        self._control, self._report, self._deadline = control, report, deadline
        self._loop = asyncio.get_running_loop()
        self._started, self._paused, self._done = time.monotonic(), 0.0, 0
        self._cancelled = False

    async def thread(self, work: Callable[[Look], T]) -> T:
        job = asyncio.create_task(asyncio.to_thread(work, self._look))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            self._cancelled = True  # the thread must have let go of its files before anybody removes them
            await asyncio.wait({job})
            raise

    def _look(self, count: int) -> None:
        self._done += count
        self._loop.call_soon_threadsafe(self._report, Progress(step=STEP, done=self._done, unit="bytes"))
        if self._cancelled:
            raise asyncio.CancelledError
        if self._control.halted:
            began = time.monotonic()
            asyncio.run_coroutine_threadsafe(self._control.checkpoint(), self._loop).result()
            self._paused += time.monotonic() - began
        if time.monotonic() - self._started - self._paused > self._deadline:
            raise StepFailed(
                f"The archive of the application's files was not finished within {self._deadline:.0f} s.",
                hint="Raise `backup.deadline`, or take large folders out of `application.backup`.",
                code="archive_deadline",
            )


def findings_of(archive: Archive) -> list[Finding]:
    """One finding a reason, with the paths it is about."""
    by_reason: dict[Why, list[Note]] = defaultdict(list)
    for note in archive.notes:
        by_reason[note.why].append(note)
    return [_finding(why, notes) for why, notes in by_reason.items()]


def _finding(why: Why, notes: Sequence[Note]) -> Finding:
    tell = warning if why in _GRAVE else info
    names = [printable(n.path) for n in notes]
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return tell(f"archive_{why.value}", names[0], count=len(names), names=", ".join(names[:NAMED]) + more)


def summary(archive: Archive) -> str:
    """What the checklist notes about it."""
    said = f"{archive.files} files, every one read again, sha256 {archive.sha256}"
    missing = sum(n.why is Why.UNREADABLE for n in archive.notes)
    return said if archive.complete else f"{missing} could not be read; {said}"

"""Owns making the tested backup: a stepped copy inside one held read transaction, sealed, hashed, described by a manifest.

Its restore test is `restore_test.py`; looking after finished backups is `backups.py`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import Refused, StepFailed
from stepflow_tui.engine.model import codec
from stepflow_tui.engine.model.control import Control, Report
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import SUFFIXES, open_living, open_own, shown, side_file
from stepflow_tui.engine.sqlite.examine import Examined, SourceState
from stepflow_tui.engine.sqlite.fingerprint import Fingerprint, content_sha256
from stepflow_tui.engine.sqlite.holders import find_holders
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.recover import recover_copy, refuse_unreadable

_CHILD = "stepflow_tui.engine.sqlite.backup_child"
PAGES_PER_STEP = 500
BYTES_PER_SECOND = 100 * 1024 * 1024
"""What a backup is assumed to manage when its time is estimated; 250 MB/s was measured on a slow two-core machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A finished backup; its manifest `<path>.json` holds the same. `source` is the fingerprint before it was made."""

    path: str
    bytes: int
    pages: int
    sha256: str
    seconds: float
    made_at_ms: int
    source_path: str
    source: Fingerprint
    recovered: bool = False  # made of a recovered copy, because of a hot journal

    @property
    def file(self) -> Path:
        """The path as a path."""
        return Path(self.path)


def estimate_seconds(examined: Examined) -> float:
    """How long a backup of that size is expected to take."""
    return (examined.size + examined.wal_bytes) / BYTES_PER_SECOND


def manifest_of(path: Path) -> Path:
    """`run.db` → `run.db.json`."""
    return path.with_name(path.name + ".json")


def read_manifest(path: Path) -> Backup | None:
    """The manifest beside a backup; None when there is none, or none that can be read."""
    try:
        return codec.loads(Backup, manifest_of(path).read_text("utf-8", "surrogateescape"))
    except (OSError, ValueError, TypeError, KeyError):
        return None


async def make_backup(
    examined: Examined,
    dest_dir: Path,
    *,
    name: str,
    control: Control,
    report: Report,
    deadline_s: float,
    now_ms: int,
    stall_s: float | None = None,
) -> Backup:
    """Make the backup, or take the finished one that is already there with the right hash.

    Args:
        examined: the source, readable.
        dest_dir: made with mode 0700 if it is missing.
        name: file name, one per run.
        control: looked at between steps; abort leaves nothing behind.
        report: gets pages done and total.
        deadline_s: seconds of copying (pauses not counted) after which it gives up.
        now_ms: wall clock, for the manifest.
        stall_s: how long writers may be kept waiting, pauses counted. Looked at only for a rollback-journal source that
            another process has open: nobody else waits for a reader.

    Raises:
        Refused: `source_*` the source can't be read, was replaced or changed, or others would be stalled too long.
        DiskFull: no room; the partial file is removed.
        StepFailed: `backup_deadline`, `sqlite_io`, `sqlite_failed`.
        Stopping: by `control`.
    """
    refuse_unreadable(examined)
    final = dest_dir / name
    if kept := await _finished(final, control):
        return kept
    allowed_s = await _stall_limit(examined, stall_s)
    with sqlite_errors(f"The backup folder {dest_dir}"):
        dest_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_backup(final)
    started = time.monotonic()
    partial = final.with_name(final.name + ".partial")
    hot = examined.state is SourceState.HOT_JOURNAL
    try:
        if hot:
            await recover_copy(examined, partial, control=control)
        else:
            await _stepped(examined, partial, control, report, _Limits(deadline_s=deadline_s, stall_s=allowed_s))
        sealed = await run_child(_CHILD, {"op": "seal", "path": path_text(partial)}, control=control)
        backup = Backup(
            path=str(final), bytes=sealed["bytes"], pages=sealed["bytes"] // _page_size(examined), sha256=sealed["sha256"],
            seconds=time.monotonic() - started, made_at_ms=now_ms, source_path=shown(examined.real),
            source=_fingerprint(examined), recovered=hot,
        )  # fmt: skip
        with sqlite_errors(f"The backup {final}"):
            partial.replace(final)
            write_manifest(backup)
    except BaseException:
        remove_backup(final)
        raise
    return backup


async def _stall_limit(examined: Examined, stall_s: float | None) -> float | None:
    """The limit, if anybody would wait; refused at once when the size alone says that it is too long."""
    if stall_s is None or examined.wal or not (await find_holders(examined.real)).processes:
        return None
    needed_s = estimate_seconds(examined)
    if needed_s > stall_s:
        raise stall_refusal(examined, stall_s, needed_s)
    return stall_s


def _page_size(examined: Examined) -> int:
    assert examined.header is not None  # readable sources have one
    return examined.header.page_size


def _fingerprint(examined: Examined) -> Fingerprint:
    assert examined.fingerprint is not None
    return examined.fingerprint


async def _finished(final: Path, control: Control) -> Backup | None:
    backup = read_manifest(final)
    if backup is None or not final.exists() or final.stat().st_size != backup.bytes:
        return None
    return backup if await content_sha256(final, control=control) == backup.sha256 else None


def write_manifest(backup: Backup) -> None:
    """Write the manifest last and at once: a backup without one is not finished."""
    manifest = manifest_of(backup.file)
    draft = manifest.with_name(manifest.name + ".partial")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(codec.dumps(backup).encode("utf-8", "surrogateescape"))
        file.flush()
        os.fsync(descriptor)
    draft.replace(manifest)


def remove_backup(final: Path) -> None:
    """Remove a backup with everything that belongs to it; missing parts are fine."""
    partial = final.with_name(final.name + ".partial")
    manifest = manifest_of(final)
    for name in (manifest, manifest.with_name(manifest.name + ".partial"), final, partial):
        name.unlink(missing_ok=True)
        for suffix in SUFFIXES:
            side_file(name, suffix).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    deadline_s: float
    stall_s: float | None


async def _stepped(examined: Examined, partial: Path, control: Control, report: Report, limits: _Limits) -> None:
    copier = _Copier(examined, partial, control, report, limits)
    job = asyncio.create_task(asyncio.to_thread(copier.run))
    try:
        await asyncio.shield(job)
    except asyncio.CancelledError:
        # The thread must have let go of source and copy before anyone removes the copy.
        copier.cancelled = True
        await asyncio.wait({job})
        raise


class _Copier:
    """The copying thread. Between steps it looks at cancellation, pause, deadline and the source's identity."""

    def __init__(self, examined: Examined, partial: Path, control: Control, report: Report, limits: _Limits) -> None:
        self.cancelled = False
        self._examined, self._partial = examined, partial
        self._control, self._report, self._limits = control, report, limits
        self._loop = asyncio.get_running_loop()
        self._started = 0.0
        self._paused_s = 0.0

    def run(self) -> None:
        with sqlite_errors(f"The backup of {shown(self._examined.path)}"):
            os.close(os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            source = open_living(self._examined.real, immutable=self._examined.immutable)
            try:
                target = open_own(self._partial)
                try:
                    self._copy(source, target)
                finally:
                    target.close()
            finally:
                source.close()

    def _copy(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        target.execute("PRAGMA synchronous=off").fetchall()  # it is synced once, when it is sealed
        # A held read transaction: without it every foreign commit makes the copy start over.
        source.execute("BEGIN")
        source.execute("select 1 from sqlite_schema limit 1").fetchall()
        self._started = time.monotonic()
        source.backup(target, pages=PAGES_PER_STEP, progress=self._look)
        source.execute("ROLLBACK")
        self._refuse_replaced()

    def _look(self, _status: int, remaining: int, total: int) -> None:
        # The report belongs to the loop's thread.
        self._loop.call_soon_threadsafe(
            self._report, Progress(step="backup", done=total - remaining, total=total, unit="pages")
        )
        if self.cancelled:
            raise asyncio.CancelledError
        if self._control.halted:
            paused = time.monotonic()
            asyncio.run_coroutine_threadsafe(self._control.checkpoint(), self._loop).result()
            self._paused_s += time.monotonic() - paused
        self._refuse_replaced()
        if remaining:
            self._refuse_late(time.monotonic() - self._started)

    def _refuse_late(self, elapsed: float) -> None:
        stall_s = self._limits.stall_s
        if stall_s is not None and elapsed > stall_s:
            raise stall_refusal(self._examined, stall_s, elapsed)
        if elapsed - self._paused_s > self._limits.deadline_s:
            raise StepFailed(
                f"The backup of {shown(self._examined.path)} was not finished within {self._limits.deadline_s:.0f} s.",
                hint="Raise `backup.deadline`, or put the backup on a faster disk with `backup.dir`.",
                code="backup_deadline",
            )

    def _refuse_replaced(self) -> None:
        known = _fingerprint(self._examined)
        try:
            status = self._examined.real.stat()
        except OSError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != (known.dev, known.inode):
            raise Refused(
                f"The source {shown(self._examined.path)} was replaced by another file during the backup.",
                hint="Stop whatever replaces it, then run again.",
                code="source_replaced",
            )


def stall_refusal(examined: Examined, allowed_s: float, needed_s: float) -> Refused:
    """Why the backup must not be made while others use the file."""
    return Refused(
        f"The backup of {shown(examined.path)} would keep its writers waiting too long.",
        detail=f"{needed_s:.0f} s, allowed are {allowed_s:.0f} s (source.allow_stall)",
        hint="Stop the application, or convert the file to WAL first (`kind: sqlite-wal`), or raise `source.allow_stall`.",
        code="backup_would_stall",
    )

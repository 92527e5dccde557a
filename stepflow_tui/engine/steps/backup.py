"""Backup first: the tested file that the copy, the census and the verification read."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from stepflow_tui.engine.application.archive_manifest import archive_of, remove_archive
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.journal.reader import RunReader, peek_state
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.sqlite.backup import Backup, make_backup, read_manifest, write_manifest
from stepflow_tui.engine.sqlite.backups import copy_backup, list_backups, prune_backups
from stepflow_tui.engine.sqlite.examine import SourceState, examine
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext


class MakeBackup(PlainStep):
    """One consistent copy of the source, made in a held read transaction. Undoing it would only lose safety."""

    name = "backup"

    async def probe(self, ctx: RunContext) -> Evidence | None:
        """A backup this run made and journalled is there, with its size; its hash is proved when it is made or restored."""
        row = await ctx.journal.backup()
        if row is None or not Path(row["path"]).exists() or Path(row["path"]).stat().st_size != row["bytes"]:
            return None
        manifest = read_manifest(Path(row["path"]))
        return (
            {"path": row["path"], "sha256": row["sha256"]}
            if manifest is not None and manifest.sha256 == row["sha256"]
            else None
        )

    async def apply(self, ctx: RunContext) -> Evidence:
        """Make it, or take the finished one."""
        examined = await examine(ctx.config.source.path)
        if examined.state is SourceState.EMPTY:
            return await _empty(ctx)
        backup = await make_backup(
            examined,
            folder_of(ctx),
            name=f"{ctx.run_id}.db",
            control=ctx.control,
            report=ctx.report,
            deadline_s=ctx.config.backup.deadline,
            now_ms=ctx.clock.now_ms(),
            stall_s=_stall(ctx),
        )
        await ctx.journal.save_backup(
            backup.path, backup.bytes, backup.sha256, verified=False, source=to_plain(backup.source)
        )
        ctx.memory.put(backup)
        await _look_after(ctx, backup)
        return {
            "path": backup.path,
            "bytes": backup.bytes,
            "sha256": backup.sha256,
            "seconds": round(backup.seconds, 3),
        }


def _stall(ctx: RunContext) -> float:
    """How long writers of a rollback-journal file may be kept waiting: where they go on working, never longer than they wait."""
    source = ctx.config.source
    waits = source.busy_timeout if ctx.config.in_place and ctx.config.mode is Mode.IN_PLACE else None
    return source.allow_stall if waits is None else min(source.allow_stall, waits)


async def _empty(ctx: RunContext) -> Evidence:
    """A file of zero bytes is a database without tables: so is its backup, and the run ends with nothing to do."""
    path = folder_of(ctx) / f"{ctx.run_id}.db"
    with sqlite_errors(f"The backup {path}"):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    sha256 = hashlib.sha256(b"").hexdigest()
    await ctx.journal.save_backup(str(path), 0, sha256, verified=False)
    return {"path": str(path), "bytes": 0, "sha256": sha256}


async def _look_after(ctx: RunContext, backup: Backup) -> None:
    """Further copies where the config wants them, and old backups of the same folder pruned; none that a run still needs."""
    for folder in ctx.config.backup.also:
        copy = await copy_backup(backup, Path(folder), control=ctx.control)
        await asyncio.to_thread(write_manifest, replace(backup, path=str(copy)))
    await asyncio.to_thread(_prune, ctx.state_dir, folder_of(ctx), backup, ctx.config.backup.keep)


def _prune(state_dir: Path, folder: Path, newest: Backup, keep: int) -> None:
    """Keep the newest backups of this source, and those that unfinished runs read."""
    runs = StateDir(state_dir).runs(peek_state)
    needed = {newest.path}
    for entry in runs:
        if entry.unfinished or entry.state is None:
            with suppress(StepFlowError), RunReader(entry.path) as reader:
                row = reader.backup()
                needed.add(row["path"] if row else "")
    found = list_backups({folder, *(e.path / "backup" for e in runs)})
    mine = [b for b in found if b.source_path == newest.source_path]
    for removed in prune_backups(mine, keep=max(0, keep - 1), protected=needed):
        remove_archive(archive_of(removed.file))  # a set is kept as a whole, or not at all


def folder_of(ctx: RunContext) -> Path:
    """Where the run's backup goes."""
    return Path(ctx.config.backup.dir) if ctx.config.backup.dir is not None else ctx.run_dir / "backup"


async def backup_of(ctx: RunContext) -> Backup | None:
    """The run's backup with its manifest, after a restart too."""
    row = await ctx.journal.backup()
    return ctx.memory.find(Backup) or (read_manifest(Path(row["path"])) if row is not None else None)

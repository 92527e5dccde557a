"""Backup first: the tested file that the copy, the census and the verification read."""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.sqlite.backup import Backup, make_backup, read_manifest
from stepflow_tui.engine.sqlite.examine import examine
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.preflight import Seen


class MakeBackup(PlainStep):
    """One consistent copy of the source, made in a held read transaction. Undoing it would only lose safety."""

    name = "backup"

    async def probe(self, ctx: RunContext) -> Evidence | None:
        """A backup this run made and journalled is there, with its size; its hash is proved when it is made or restored."""
        row = await ctx.journal.backup()
        if row is None or not Path(row["path"]).exists() or Path(row["path"]).stat().st_size != row["bytes"]:
            return None
        manifest = read_manifest(Path(row["path"]))
        return {"path": row["path"], "sha256": row["sha256"]} if manifest is not None and manifest.sha256 == row["sha256"] else None

    async def apply(self, ctx: RunContext) -> Evidence:
        """Make it, or take the finished one."""
        examined = await examine(ctx.config.source.path)
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
        await ctx.journal.save_backup(backup.path, backup.bytes, backup.sha256, verified=False, source=to_plain(backup.source))
        ctx.memory.put(backup)
        return {"path": backup.path, "bytes": backup.bytes, "sha256": backup.sha256, "seconds": round(backup.seconds, 3)}


def folder_of(ctx: RunContext) -> Path:
    """Where the run's backup goes."""
    return Path(ctx.config.backup.dir) if ctx.config.backup.dir is not None else ctx.run_dir / "backup"


def _stall(ctx: RunContext) -> float | None:
    """Only writers of a rollback-journal file wait for a reader, and only if there are any."""
    seen = ctx.memory.find(Seen)
    return ctx.config.source.allow_stall if seen is None or seen.stalls else None


async def backup_of(ctx: RunContext) -> Backup | None:
    """The run's backup with its manifest, after a restart too."""
    row = await ctx.journal.backup()
    return ctx.memory.find(Backup) or (read_manifest(Path(row["path"])) if row is not None else None)

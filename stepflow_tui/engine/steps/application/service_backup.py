"""The application's files beside the database's backup: one archive, every member of it read again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stepflow_tui.engine.application.archive import LeaveOut
from stepflow_tui.engine.application.archive_copy import copy_archive
from stepflow_tui.engine.application.archive_manifest import archive_of
from stepflow_tui.engine.application.archiving import STEP, Wanted, archive_files, findings_of, places_of, summary
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.sqlite.connect import SUFFIXES, real_path, side_file
from stepflow_tui.engine.steps.backup import folder_of
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext


class ServiceBackup(PlainStep):
    """Archives what `application.backup` names, and the config. Undoing it would only lose safety."""

    name = STEP

    async def probe(self, ctx: RunContext) -> Evidence | None:
        """Never known to be done: an archive that was not journalled was not compared with the files to its end."""
        return None

    async def apply(self, ctx: RunContext) -> Evidence:
        """Make it, prove it, copy it where the backup's copies go."""
        dest = archive_of(folder_of(ctx) / f"{ctx.run_id}.db")
        wanted = wanted_of(ctx.config, ctx.loaded.path, dest, ctx.state_dir)
        archive = await archive_files(wanted, now_ms=ctx.clock.now_ms(), control=ctx.control, report=ctx.report)
        for folder in ctx.config.backup.also:
            await asyncio.to_thread(copy_archive, archive, Path(folder))
        await ctx.journal.set_findings(STEP, findings_of(archive))
        return {
            "path": archive.path,
            "bytes": archive.bytes,
            "sha256": archive.sha256,
            "files": archive.files,
            "complete": archive.complete,
            "note": summary(archive),
            "seconds": round(archive.seconds, 3),
        }


def wanted_of(config: Config, config_path: Path, dest: Path, state_dir: Path) -> Wanted:
    """What an archive of this config holds: neither the database, which has its tested backup, nor what is StepFlow's own."""
    real = real_path(config.source.path)
    folders = [f for f in (config.backup.dir, *config.backup.also) if f is not None]
    return Wanted(
        places=places_of(config, config_path),
        dest=dest,
        leave_out=LeaveOut(source=(real, *(side_file(real, s) for s in SUFFIXES)), own=(state_dir, *folders)),
        deadline=config.backup.deadline,
    )


def archived(config: Config) -> tuple[ServiceBackup, ...]:
    """The step, where there is something to archive."""
    return (ServiceBackup(),) if config.application.backup else ()

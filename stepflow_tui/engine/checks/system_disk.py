"""Is there room for the backup, its further copies and the journal?"""

from __future__ import annotations

import shutil
from pathlib import Path

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.sqlite.connect import shown

RESERVE_BYTES = 256 * 1024 * 1024
"""What stays free for journal, logs and rejects."""


def existing_parent(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(p for p in (path, *path.absolute().parents) if p.is_dir())


async def run(ctx: CheckContext) -> list[Finding]:
    """Folders on one disk are added up; short of the reserve is a warning, short of the files themselves stops the run."""
    size = ctx.examined.size + ctx.examined.wal_bytes
    wanted: dict[int, tuple[Path, int]] = {}
    for folder in (ctx.backup_dir, *ctx.config.backup.also):
        place = existing_parent(folder)
        _, before = wanted.get(place.stat().st_dev, (place, 0))
        wanted[place.stat().st_dev] = (folder, before + size)
    found = []
    for folder, needed in wanted.values():
        free = shutil.disk_usage(existing_parent(folder)).free
        if free < needed + RESERVE_BYTES:
            tell = blocking if free < needed else warning
            found.append(
                tell("disk_space", shown(folder), needed_bytes=needed, reserve_bytes=RESERVE_BYTES, free_bytes=free)
            )
    return found

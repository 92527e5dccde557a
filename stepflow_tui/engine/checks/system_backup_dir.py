"""Can the backup be written where it shall go?"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.checks.system_disk import existing_parent
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.mounts import filesystem_of


async def run(ctx: CheckContext) -> list[Finding]:
    """A file is written and removed in each folder (its nearest existing parent, if it is still to be made)."""
    found = []
    for folder in (ctx.backup_dir, *ctx.config.backup.also):
        reason = _try(existing_parent(folder))
        if reason:
            found.append(blocking("backup_dir_not_writable", shown(folder), reason=reason))
    where = filesystem_of(existing_parent(ctx.backup_dir))
    if where.network:
        found.append(warning("backup_dir_network", shown(ctx.backup_dir), filesystem=where.kind))
    return found


def _try(folder: Path) -> str:
    probe = folder / f".stepflow-{uuid.uuid4().hex}"
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        probe.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""

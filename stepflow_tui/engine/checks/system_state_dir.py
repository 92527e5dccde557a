"""Is the state directory fit for locks and the journal?"""

from __future__ import annotations

import os

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.checks.system_disk import existing_parent
from stepflow_tui.engine.model.finding import Finding, blocking, info, warning
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.mounts import filesystem_of


async def run(ctx: CheckContext) -> list[Finding]:
    """Refused on a network file system or when it can't be written; a warning when others may write into it."""
    folder = ctx.state_dir
    place = existing_parent(folder)
    where = filesystem_of(place)
    found = []
    if where.network:
        found.append(blocking("state_dir_network", shown(folder), filesystem=where.kind, mount_point=where.mount_point))
    if not os.access(place, os.W_OK | os.X_OK):
        found.append(blocking("state_dir_not_writable", shown(folder)))
    mode = folder.stat().st_mode & 0o777 if folder.is_dir() else 0
    if mode & 0o077:
        tell = (
            warning if mode & 0o022 else info
        )  # run folders are 0700 themselves; who may write here could replace them
        found.append(tell("state_dir_open", shown(folder), mode=f"{mode:04o}"))
    return found

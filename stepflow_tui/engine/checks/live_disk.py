"""Is there room for what a live run keeps besides the backup: the second snapshot, and the change log in the source?"""

from __future__ import annotations

import shutil
from pathlib import Path

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.checks.system_disk import RESERVE_BYTES, existing_parent
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.sqlite.connect import shown


async def run(ctx: CheckContext) -> list[Finding]:
    """The snapshot must fit beside the backup, or the run can't copy; the log its budget, or the application can't write."""
    copies = 2 * (ctx.examined.size + ctx.examined.wal_bytes)
    own, source, log = existing_parent(ctx.backup_dir), ctx.examined.real.parent, ctx.config.capture.budget
    if own.stat().st_dev == source.stat().st_dev:
        return _room(own, must=copies, should=copies + log)
    return [*_room(own, must=copies, should=copies), *_room(source, must=0, should=log)]


def _room(folder: Path, *, must: int, should: int) -> list[Finding]:
    free = shutil.disk_usage(folder).free
    if free >= should + RESERVE_BYTES:
        return []
    tell = blocking if free < must else warning
    return [tell("live_disk_space", shown(folder), needed_bytes=should, reserve_bytes=RESERVE_BYTES, free_bytes=free)]

"""What every engine does before its first step: one run per source file. Changes nothing."""

from __future__ import annotations

import asyncio

from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.lock import SourceLock, lock_source
from stepflow_tui.engine.steps.context import RunContext


async def open_run(ctx: RunContext) -> None:
    """Lock the source for this run, by device and inode; a source that is not there is the preflight's to name.

    Raises:
        Held: another run works on this source.
    """
    if ctx.memory.find(SourceLock) is not None:
        return  # a rollback of the engine that holds it
    path = real_path(ctx.config.source.path)
    try:
        facts = await asyncio.to_thread(path.stat)
    except OSError:
        return
    lock = lock_source(ctx.state_dir, facts.st_dev, facts.st_ino, ctx.run_id)
    ctx.resources.callback(lock.release)
    ctx.memory.put(lock)

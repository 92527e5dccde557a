"""The rehearsal: a copy of the tested backup goes to WAL and back, before the application's own file is touched."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.sqlite.backups import copy_backup
from stepflow_tui.engine.sqlite.checkpoint import prove_checkpoint
from stepflow_tui.engine.sqlite.content import Content, content_of
from stepflow_tui.engine.sqlite.convert import Converted, JournalMode, convert
from stepflow_tui.engine.steps.backup import backup_of
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.wal.facts import converts, recorded, scratch_of

WAIT_SECONDS = 10.0
"""Nobody else has the copy: whoever waits for it longer has met a fault."""


class Rehearse(PlainStep):
    """Converts a copy, proves it, and goes back, as it will be done with the file itself."""

    name = "rehearse"

    async def apply(self, ctx: RunContext) -> Evidence:
        """There and back.

        Raises:
            StepFailed: `rehearsal_differs`, or what SQLite says of the copy. The application's file was not touched.
        """
        backup = await backup_of(ctx)
        if backup is None or not await converts(ctx):
            return {"skipped": "there is nothing to convert"}
        folder = scratch_of(ctx) / "rehearsal"
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)  # of an engine that was killed
        begun = time.monotonic()
        try:
            copy = await copy_backup(backup, folder, control=ctx.control)
            return {**await _there_and_back(ctx, copy), "seconds": round(time.monotonic() - begun, 3)}
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _there_and_back(ctx: RunContext, copy: Path) -> Evidence:
    there = await _go(ctx, copy, JournalMode.WAL)
    proof = await prove_checkpoint(copy, alone=True, wait=WAIT_SECONDS)
    back = await _go(ctx, copy, JournalMode.DELETE)
    return {
        "to_wal_seconds": round(there.seconds, 4),
        "back_seconds": round(back.seconds, 4),
        "checkpoint": proof.complete,
        "content": "equal",
    }


async def _go(ctx: RunContext, copy: Path, mode: JournalMode) -> Converted:
    done = await convert(copy, mode, wait=WAIT_SECONDS, control=ctx.control)
    now = await content_of(copy, frozen=False, control=ctx.control, report=ctx.report)
    _refuse_different((await recorded(ctx)).content, now, mode)
    return done


def _refuse_different(before: Content, now: Content, mode: JournalMode) -> None:
    changed = [*now.differences(before), *sorted(now.unread.keys() - before.unread.keys())]
    if not changed and now.schema_digest == before.schema_digest:
        return
    raise StepFailed(
        f"The copy is not what it was before it went to journal mode {mode.value}.",
        detail=", ".join(changed) or "its schema",
        hint="Nothing was done to the application's file. Keep the run's folder and report this.",
        code="rehearsal_differs",
    )

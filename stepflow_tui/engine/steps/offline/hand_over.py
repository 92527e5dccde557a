"""The lock is handed over to the write fence: one commit, after which writers are refused by triggers and not by a lock."""

from __future__ import annotations

import json

from stepflow_tui.engine.errors import Drift, Held
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.codec import from_plain, to_plain
from stepflow_tui.engine.model.live import CapturePlan, Installed
from stepflow_tui.engine.postgres import changelog
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.connect import real_path, shown
from stepflow_tui.engine.sqlite.fingerprint import Fingerprint, fingerprint, same_content
from stepflow_tui.engine.sqlite.hold import HandedOver, WriteLock
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection
from stepflow_tui.engine.steps.live.capture import capture_plan_of
from stepflow_tui.engine.steps.live.gate import GATE_SECONDS
from stepflow_tui.engine.steps.live.returning import returned_tables
from stepflow_tui.engine.steps.offline import keepers, window
from stepflow_tui.engine.steps.offline.lock import clear_source, fenced, take_lock
from stepflow_tui.engine.steps.offline.verify import SEEN, STEP
from stepflow_tui.engine.together import to_the_end

READERS_SECONDS = 30.0
"""Until readers of a rollback-journal file must be gone."""


class HandOver(PlainStep):
    """Capture and fence come into the file in the very transaction that kept writers out of it."""

    name = "hand-over"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Hand over, or find what an engine before this one handed over.

        Raises:
            Drift: the file is not what was verified. Held: `source_busy`: readers of a rollback-journal file stayed; they are named.
        """
        window.refuse_over(ctx)
        path, plan = real_path(ctx.config.source.path), await capture_plan_of(ctx)
        if await fenced(ctx):
            installed = await capture.install(path, plan, ctx.run_id)  # only says what is there
        else:
            await _refuse_changed(ctx)
            lock = await take_lock(ctx)
            installed = (await to_the_end(_handed_over(ctx, lock, plan))).installed
            failpoint("offline_handed_over")
        ctx.memory.put(installed)
        await ctx.journal.event("offline_handed_over", {"tables": len(plan.tables)})
        return {"tables": len(plan.tables), "installed": to_plain(installed)}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Nothing of the way back is left, on either side."""
        async with connection(ctx) as conn:
            if await conn.fetchval("select to_regclass('_stepflow.gate') is not null"):
                await changelog.remove_changelog(conn, await returned_tables(ctx), wait=GATE_SECONDS)
        ctx.memory.drop(Installed)
        return {"capture_removed": await clear_source(ctx)}


async def _handed_over(ctx: RunContext, lock: WriteLock, plan: CapturePlan) -> HandedOver:
    try:
        return await lock.hand_over(plan, ctx.run_id, wait=min(READERS_SECONDS, window.left_seconds(ctx)))
    except Held as held:
        who = ctx.journal.clean(keepers.named(await keepers.others(ctx)))
        raise Held(
            "Readers of the source kept the fence from being raised.",
            detail=f"{who}; {held.detail}",
            hint="End these processes, or let the recipe stop them too, then `stepflow run` again.",
            code="source_busy",
        ) from None


async def _refuse_changed(ctx: RunContext) -> None:
    """The locked file is, to the byte, what was verified."""
    path = real_path(ctx.config.source.path)
    row = await ctx.journal.step_row(STEP)
    seen: Fingerprint = from_plain(Fingerprint, json.loads(row["evidence"])[SEEN])
    now = await fingerprint(path)
    if not same_content(seen, now):
        raise Drift(
            f"The source {shown(path)} is not what was verified, although it was locked.",
            detail="Something wrote to it past SQLite, or put another file in its place.",
            hint="Find out what it was. `stepflow run` begins anew with what the file holds then.",
            code="locked_source_changed",
        )

"""Mode offline: the application is stopped before the conversion, by its recipe or by a person."""

from __future__ import annotations

from stepflow_tui.engine.errors import Held
from stepflow_tui.engine.sqlite.file_locks import users_of
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.waiting import wait_for_time
from stepflow_tui.engine.steps.wal.back import leave_running
from stepflow_tui.engine.steps.wal.facts import converts, source_of

ITEM = "writers-stopped"


class StopApplication(PlainStep):
    """Nobody uses the file from here until the application is started again."""

    name = "stop-application"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Stop it, at the time that the config names, and see that nobody is left.

        Raises:
            Held: `source_in_use`: somebody still has the file open; the application is started again.
            StepFlowError: it can't be stopped.
        """
        if not await converts(ctx):
            return {"skipped": "there is nothing to convert"}
        await wait_for_time(ctx)
        changeover = changeover_of(ctx)
        if changeover.configured:
            await changeover.rehearse()
            await changeover.prepare()
            await changeover.stop()
        left = await users_of(source_of(ctx))
        if left.processes:
            raise Held(
                f"{source_of(ctx)} is still in use.",
                detail=left.text,
                hint="Stop these processes, then run again; or leave `mode: offline` out: WAL needs no window.",
                code="source_in_use",
            )
        await ctx.journal.check_item(ITEM, ok=True, note="no process holds the file" if left.complete else "stopped")
        return {"by_recipe": bool(ctx.config.application.recipe), "looked_at_all": left.complete}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Start it again, if nobody has."""
        await leave_running(ctx)
        return {"application": "as before"}

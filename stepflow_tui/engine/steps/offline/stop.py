"""The application is stopped, by its recipe or by a person: the maintenance window begins."""

from __future__ import annotations

import asyncio

from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.application.kept_config import forget_config, keep_config
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.offline import window
from stepflow_tui.engine.steps.offline.watching import end_watch, keep_window
from stepflow_tui.engine.steps.offline.window import Stage
from stepflow_tui.engine.steps.waiting import wait_for_time

ITEM = "writers-stopped"
"""The checklist's item, a person's where no recipe stops the application."""


class StopApplication(PlainStep):
    """From here on nobody works until the switch, or until the old side is started again."""

    name = "stop-application"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Stop it. What would stand in the way of stopping and switching is said while it runs still.

        Raises:
            StepFlowError: settings or recipes can't be carried out, or it can't be stopped.
        """
        changeover = changeover_of(ctx)
        if not window.stands(ctx):
            await wait_for_time(ctx)
            await changeover.rehearse()
            await changeover.prepare()
        if not await asyncio.to_thread(keep_config, ctx.run_dir, ctx.loaded, ctx.journal.clean):
            await ctx.journal.event("offline_config_not_kept", {"file": str(ctx.loaded.path)}, level=Level.WARNING)
        await window.begin(ctx)
        await keep_window(ctx)
        by_recipe = bool(ctx.config.application.recipe)
        if changeover.configured:
            await changeover.stop()
        if by_recipe:
            await ctx.journal.check_item(ITEM, ok=True, note="stopped by its recipe")
        code = "offline_application_stopped" if by_recipe else "offline_stopped_by_hand"
        await ctx.journal.event(code, {"by_recipe": by_recipe})
        return {"by_recipe": by_recipe}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Start it again, on the old side."""
        await start_again(ctx)
        await asyncio.to_thread(forget_config, ctx.run_dir)
        return {"application": "as before"}


async def start_again(ctx: RunContext) -> None:
    """The old side works again: started, asked how it is, and the window closed. Harmless when it does already.

    Raises:
        StepFlowError: it can't be started, or is not as well as it was; the watcher tries again when the window is over.
    """
    if not window.stands(ctx):
        return
    await changeover_of(ctx).start_old()
    seconds = window.since_seconds(ctx)
    await window.enter(ctx, Stage.RETURNED, stopped_seconds=seconds)
    level = Level.INFO if ctx.config.application.recipe else Level.WARNING
    code = "offline_returned" if ctx.config.application.recipe else "offline_returned_by_hand"
    await ctx.journal.event(code, {"seconds": seconds}, level=level)
    await ctx.journal.audit(ctx.answers.who or "the engine", "application started again", {"seconds": seconds})
    await end_watch(ctx)

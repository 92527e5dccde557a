"""The application's side: new code, new settings, a restart, each where the config has it."""

from __future__ import annotations

from functools import partial

from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.wal.back import take_back


class ChangeApplication(PlainStep):
    """Carries out switches and recipes; comes up healthy, or everything is put back.

    Going back, the file goes back while the application is stopped anyway, so that it is stopped once and not twice.
    """

    name = "change-application"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Change what is configured.

        Raises:
            StepFlowError: it did not come up; the old application runs again, which WAL mode serves just as well.
        """
        changeover = changeover_of(ctx)
        if ctx.config.mode is not Mode.OFFLINE:
            await changeover.rehearse()
            await changeover.prepare()
        await changeover.switch_over()
        await ctx.journal.check_item("code-deployed", ok=True, note="recipes carried out, health checks passed")
        return {"stage": changeover.stage.value}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Stop the new one, take the conversion back, put back what was changed, start the old one."""
        changeover = changeover_of(ctx)
        await changeover.check_back()
        await changeover.switch_back(partial(take_back, ctx))
        return {"stage": changeover.stage.value}


def changes_it(config: Config) -> bool:
    """Whether there is something to change: settings, code, or an application that was stopped.

    A recipe that only restarts is there for the way back: an application that runs sees the new mode by itself.
    """
    application = config.application
    builds = any(r.build or r.revision or r.release or r.image for r in application.recipe)
    stopped = config.mode is Mode.OFFLINE and bool(application.recipe)
    return bool(application.switches) or builds or stopped

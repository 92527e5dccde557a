"""The application's part of a cutover, and of the way back: writes have moved already, it follows them."""

from __future__ import annotations

from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import StepState
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.application.state import Stage
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.live.reads_by_restart import ROUTED, moves_by_restart
from stepflow_tui.engine.steps.live.take_back import take_back_writes

CUT_OVER = "cutover.cut-over"


async def show_application(ctx: RunContext) -> None:
    """What runs now, for whoever watches, and that nobody has to build routers into it. Changes nothing."""
    if moves_by_restart(ctx.config):
        await ctx.journal.check_item("application-routed", ok=True, note=ROUTED)
    changeover = changeover_of(ctx)
    if changeover.configured:
        await changeover.show()


async def prepare_application(ctx: RunContext) -> None:
    """Before the fence rises: images that can't be had or built are told while the application writes to SQLite.

    Raises:
        StepFlowError: see `Changeover.prepare`.
    """
    changeover = changeover_of(ctx)
    if changeover.configured:
        await changeover.prepare()


async def follow_writes(ctx: RunContext) -> Evidence:
    """PostgreSQL owns writes: the application goes there too. When it does not come up, writes and application go back.

    Raises:
        StepFlowError: see `Changeover.switch_over`.
    """
    changeover = changeover_of(ctx)
    if not (changeover.configured or changeover.underway):
        return {}
    await changeover.switch_over(lambda: take_back_writes(ctx))
    return {"application": changeover.stage.value}


async def follow_back(ctx: RunContext) -> Evidence:
    """SQLite owns writes again: the application goes back to it.

    Raises:
        StepFlowError: see `Changeover.switch_back`.
    """
    changeover = changeover_of(ctx)
    if changeover.stage is Stage.OLD:
        return {}
    await changeover.switch_back()
    return {"application": changeover.stage.value}


async def finish_move(ctx: RunContext, owner: Owner) -> None:
    """What an engine before this one left half done; who owns writes says which way it goes.

    Raises:
        StepFlowError: the application does not come up.
    """
    if owner is Owner.SQLITE:
        await follow_back(ctx)
    elif (await ctx.journal.step_row(CUT_OVER))["state"] != StepState.DONE.value or changeover_of(ctx).underway:
        await follow_writes(ctx)

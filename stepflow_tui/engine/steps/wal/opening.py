"""What every engine of a conversion in place does first, what a way back needs to be told, and what an abort leaves."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.state import PhaseName, RunState, StepState
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.opening import open_run
from stepflow_tui.engine.steps.wal.back import leave_running, wants_restore
from stepflow_tui.engine.steps.wal.facts import CONVERT
from stepflow_tui.engine.steps.wal.watching import watch_wal

STOP = "cutover.stop-application"


async def open_in_place(ctx: RunContext) -> None:
    """Lock the source for this run, and go on watching it once it is converted.

    Raises:
        Held: another run works on this source.
    """
    await open_run(ctx)
    if ctx.config.application.recipe or ctx.config.application.switches:
        await changeover_of(ctx).show()
    back = ctx.reason or await ctx.journal.state() is RunState.ROLLING_BACK
    if not back and (await ctx.journal.step_row(CONVERT))["state"] == StepState.DONE.value:
        await watch_wal(ctx)


async def consent_in_place(ctx: RunContext, phases: Sequence[str]) -> None:
    """Before a rollback. The old journal mode loses nothing; the backup loses what was written since.

    Raises:
        NeedsConfirmation: the backup is to be put back, and the run's name was not typed.
    """
    if PhaseName.CUTOVER in phases:
        await changeover_of(ctx).check_back()
    if await wants_restore(ctx):
        row = await ctx.journal.backup()
        ctx.need_typed(
            "Putting the backup back loses everything that was written since it was made"
            + (f" ({row['path']})." if row else ".")
        )


async def abandon_in_place(ctx: RunContext) -> None:
    """The run is aborted: nobody is left stopped. The file keeps the mode it has; nothing of ours is in it."""
    await ctx.services.stop()
    await leave_running(ctx)




async def retreat_in_place(ctx: RunContext) -> None:
    """The run's work ended with an error: an application that was stopped for it runs again, and is stopped anew next time.

    Raises:
        StepFlowError: it can't be started.
    """
    await leave_running(ctx)
    if ctx.config.mode is not Mode.OFFLINE or await ctx.journal.state() is RunState.ROLLING_BACK:
        return
    converted = (await ctx.journal.step_row(CONVERT))["state"] == StepState.DONE.value
    stopped = (await ctx.journal.step_row(STOP))["state"] != StepState.PENDING.value
    if stopped and not converted:
        await ctx.journal.reopen(PhaseName.CUTOVER.value, begun=True)

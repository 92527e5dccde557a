"""What every engine of a conversion in place does first, what a way back needs to be told, and what an abort leaves."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.errors import Held, StepFlowError
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.state import PhaseName, RunState, StepState
from stepflow_tui.engine.sqlite.convert import JournalMode, read_mode
from stepflow_tui.engine.sqlite.file_locks import users_of
from stepflow_tui.engine.steps.application.bookkeeping import restarts_application
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.opening import open_run
from stepflow_tui.engine.steps.wal.back import (
    already_restored,
    check_sound,
    leave_running,
    restores,
    telling_room,
    wants_restore,
)
from stepflow_tui.engine.steps.wal.facts import CONVERT, changed, converts, evidence_of, source_of
from stepflow_tui.engine.steps.wal.watching import watch_wal

STOP = "cutover.stop-application"
STAYING_SECONDS = 5.0
"""Who has the file open that long is not about to leave."""
LOOK_SECONDS = 0.25


async def open_in_place(ctx: RunContext) -> None:
    """Lock the source for this run, and go on watching it once it is converted.

    Raises:
        Held: another run works on this source.
    """
    await open_run(ctx)
    if ctx.config.application.recipe or ctx.config.application.switches:
        await changeover_of(ctx).show()
    back = ctx.reason or await ctx.journal.state() is RunState.ROLLING_BACK
    if not back:
        await _convert_again(ctx)
        await watch_wal(ctx)


async def _convert_again(ctx: RunContext) -> None:
    """A mode that somebody has changed back before the run was over: what was done is not done any more."""
    if not (await evidence_of(ctx, CONVERT)).get("converted"):
        return
    try:
        mode = await read_mode(source_of(ctx))
    except StepFlowError:
        return  # the steps behind it say what is wrong with the file
    if mode.mode == JournalMode.DELETE and mode.proves(JournalMode.DELETE):
        await ctx.journal.reopen(PhaseName.CUTOVER.value, begun=True)


async def consent_in_place(ctx: RunContext, phases: Sequence[str]) -> None:
    """Before a rollback. The old journal mode loses nothing; the backup loses what was written since.

    Raises:
        Held: `source_busy_conversion`: processes keep the file open, and no recipe stops them. What the run reached stands.
        DiskFull: SQLite can't even look at the file without room; the hint says how much.
        NeedsConfirmation: the backup is to be put back, and the run's name was not typed.
        StepFlowError: the file is missing or damaged, which only a restore helps against; the hint says so.
    """
    if PhaseName.CUTOVER not in phases or not await changed(ctx):
        return
    await changeover_of(ctx).check_back()
    if not await restores(ctx):
        async with telling_room(ctx):
            await _consent_to_mode(ctx)
    elif await already_restored(ctx) is None:
        await _consent_to_restore(ctx)


async def _consent_to_restore(ctx: RunContext) -> None:
    """Whatever state the file is in, if it is there at all: a restore is for files that can't be read any more."""
    if not restarts_application(ctx.config.application):
        await _refuse_holders(ctx)
    if await wants_restore(ctx):
        row = await ctx.journal.backup()
        ctx.need_typed(
            "Putting the backup back loses everything that was written since it was made"
            + (f" ({row['path']})." if row else ".")
        )


async def _consent_to_mode(ctx: RunContext) -> None:
    if not await converts(ctx):
        return
    try:
        wal = (await read_mode(source_of(ctx))).wal
    except StepFlowError as error:
        if error.code in ("file_failed", "source_corrupt"):
            error.hint = "`stepflow rollback --restore` puts the tested backup back; what is there now is kept aside."
        raise
    if wal and not restarts_application(ctx.config.application):
        await _refuse_holders(ctx)
    await check_sound(ctx)


async def _refuse_holders(ctx: RunContext) -> None:
    """Nobody is forced out: those that stay are named before anything is taken back. Who comes and goes is no obstacle."""
    source, began = source_of(ctx), ctx.clock.monotonic()
    staying = (await users_of(source)).processes
    while staying and ctx.clock.monotonic() - began < STAYING_SECONDS:
        await ctx.clock.sleep(LOOK_SECONDS)
        now = (await users_of(source)).processes
        staying = tuple(holder for holder in staying if holder in now)
    if staying:
        raise Held(
            f"{source} can't go back while others keep it open.",
            detail=", ".join(f"pid {h.pid} ({h.command})" for h in staying),
            hint="Stop these processes, then `stepflow rollback` again; with `application.recipe` StepFlow stops them itself.",
            code="source_busy_conversion",
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

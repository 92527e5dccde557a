"""The figures of a live run, looked at once a second: lag, log, WAL of the source. Keeps the log within its budget, from the
moment on from which there is one: while tables are copied, and while the target is down, it only grows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.live.prune import LogRoom, Room, prune_log, room_of
from stepflow_tui.engine.live.tail import Tail
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.fence import fence_state
from stepflow_tui.engine.sqlite.wal_sampler import WalSampler
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.live.set_aside import SetAside
from stepflow_tui.engine.together import to_the_end

SERVICE = "figures"
FULL = "log_full"
LOOK_SECONDS = 1.0
TEND_EVERY = 30
"""Looks between two prunings, and between two words about what can't be reached. The size is looked at every time."""
TRY_SECONDS = 2.0
"""For how long one look tries to take capture out; a cutover that is about to begin waits for the end of that."""


@dataclass(frozen=True, slots=True)
class TakenOut:
    """We take capture out of the source, and why: whoever finds that it is gone reports this."""

    error: StepFailed


async def keep_figures(ctx: RunContext) -> None:
    """Show figures until the service is stopped."""
    ctx.services.start(SERVICE, lambda: _show(ctx))


async def _show(ctx: RunContext) -> None:
    sampler, set_aside = WalSampler(), SetAside()
    await sampler.start(real_path(ctx.config.source.path))
    looks = 0
    try:
        while True:
            ctx.journal.gauge("wal", (await sampler.sample()).gauge)
            tail = ctx.memory.find(Tail)
            due = looks % TEND_EVERY == 0
            if tail is not None and ctx.services.runs("tail"):
                await set_aside.look(ctx, tail)
                _show_tail(ctx, tail)
                if due:
                    await _prune(ctx, ctx.memory.get(TailJob))
            await _keep_to_budget(ctx, told=due)
            looks += 1
            await ctx.clock.sleep(LOOK_SECONDS)
    finally:
        await sampler.close()


def _show_tail(ctx: RunContext, tail: Tail) -> None:
    stats, lag = tail.stats, tail.lag
    ctx.journal.gauge("lag", {"changes": lag.changes, "seconds": round(lag.seconds, 1)})
    figures = {"applied": stats.applied, "log_max": stats.log_max, "poison": stats.poison}
    ctx.journal.gauge("live", {**figures, "rows_per_second": round(stats.rows_per_second, 1)})


async def _prune(ctx: RunContext, job: TailJob) -> None:
    try:
        await prune_log(job)
    except StepFlowError as exc:  # a side that can't be reached is the tail's to report
        await _tell(ctx, exc)


async def _keep_to_budget(ctx: RunContext, *, told: bool) -> None:
    """Before the log fills the application's disk, capture is taken out, loudly: the tables must be copied anew.

    Where that can't be done yet (somebody holds the file), every look tries it again.

    Args:
        told: whether a log that can't be tended is worth a word this time.

    Raises:
        StepFailed: `log_full`: capture is out.
    """
    path = real_path(ctx.config.source.path)
    try:
        if (await fence_state(path)).fenced:
            return  # nobody but us writes to the file
        room = await room_of(path, ctx.config.capture.budget)
        ctx.journal.gauge("live", {"log_rows": room.rows, "log_bytes": room.bytes, "log_budget": room.budget_bytes})
        if room.room is Room.FULL:
            await to_the_end(_take_out(ctx, path, room))
    except StepFlowError as exc:
        if exc.code == FULL:
            raise
        if told:
            await _tell(ctx, exc)


async def _take_out(ctx: RunContext, path: Path, room: LogRoom) -> None:
    full, out = _full(room), False
    ctx.memory.put(TakenOut(full))  # before it is true: the tail may notice at once
    try:
        out = await capture.uninstall(path, ctx.run_id, patience_seconds=TRY_SECONDS)
    finally:
        if not out:
            ctx.memory.drop(TakenOut)
    if not out:
        return  # gone already: who misses it says so
    ctx.journal.gauge("live", {"capture_out": True})
    await ctx.journal.resolve_alert("log_over_budget")
    await ctx.journal.event("capture_removed", {})
    raise full


def _full(room: LogRoom) -> StepFailed:
    return StepFailed(
        "The change log in the source has reached its budget, and capture was taken out.",
        detail=f"{room.bytes} of {room.budget_bytes} bytes",
        hint="`stepflow rollback`, allow more with `capture.budget`, and start a new run.",
        code=FULL,
    )


def refuse_taken_out(ctx: RunContext) -> None:
    """Raise StepFailed `log_full` if the service, which nobody hears any more when it was stopped, took capture out."""
    taken = ctx.memory.find(TakenOut)
    if taken is not None:
        raise taken.error


async def why_it_ended(ctx: RunContext, error: Exception) -> Exception:
    """Why work on captured changes can't go on: capture that we took out ourselves is not somebody else's doing."""
    taken = ctx.memory.find(TakenOut)
    if taken is None:
        return error
    try:
        there = await capture.is_installed(real_path(ctx.config.source.path), ctx.run_id)
    except StepFlowError:  # nothing is known about it
        return error
    return error if there else taken.error


async def _tell(ctx: RunContext, trouble: StepFlowError) -> None:
    data = {"code": trouble.code, "message": trouble.message}
    await ctx.journal.event("log_not_tended", data, level=Level.WARNING)

"""The figures of a live run, looked at once a second: lag, log, WAL of the source. Keeps the log within its budget."""

from __future__ import annotations

from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.live.prune import Room, tend_log
from stepflow_tui.engine.live.tail import Tail
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.fence import fence_state
from stepflow_tui.engine.sqlite.wal_sampler import WalSampler
from stepflow_tui.engine.steps.context import RunContext

SERVICE = "figures"
LOOK_SECONDS = 1.0
TEND_EVERY = 30


async def keep_figures(ctx: RunContext) -> None:
    """Show figures until the service is stopped."""
    ctx.services.start(SERVICE, lambda: _show(ctx))


async def _show(ctx: RunContext) -> None:
    sampler = WalSampler()
    await sampler.start(real_path(ctx.config.source.path))
    looks = 0
    try:
        while True:
            ctx.journal.gauge("wal", (await sampler.sample()).gauge)
            tail = ctx.memory.find(Tail)
            if tail is not None and ctx.services.runs("tail"):
                _show_tail(ctx, tail)
                if looks % TEND_EVERY == 0:
                    await _tend(ctx, ctx.memory.get(TailJob))
                looks += 1
            await ctx.clock.sleep(LOOK_SECONDS)
    finally:
        await sampler.close()


def _show_tail(ctx: RunContext, tail: Tail) -> None:
    stats, lag = tail.stats, tail.lag
    ctx.journal.gauge("lag", {"changes": lag.changes, "seconds": round(lag.seconds, 1)})
    figures = {"applied": stats.applied, "log_max": stats.log_max, "poison": stats.poison}
    ctx.journal.gauge("live", {**figures, "rows_per_second": round(stats.rows_per_second, 1)})


async def _tend(ctx: RunContext, job: TailJob) -> None:
    """Prune. Before the log fills the application's disk, capture is taken out, loudly: the tables must be copied anew."""
    try:
        room = await tend_log(job)
    except StepFlowError as exc:  # a side that can't be reached is the tail's to report
        await ctx.journal.event("log_not_tended", {"code": exc.code, "message": exc.message}, level=Level.WARNING)
        return
    ctx.journal.gauge("live", {"log_rows": room.rows, "log_bytes": room.bytes, "log_budget": room.budget_bytes})
    if room.room is Room.FULL and not (await fence_state(job.source)).fenced:
        await capture.uninstall(job.source, ctx.run_id)
        raise StepFailed(
            "The change log in the source has reached its budget, and capture was taken out.",
            detail=f"{room.bytes} of {room.budget_bytes} bytes",
            hint="`stepflow rollback`, allow more with `capture.budget`, and start a new run.",
            code="log_full",
        )

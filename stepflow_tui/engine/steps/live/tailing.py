"""The tail of a run: put together once per engine, kept running as a service, its figures shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from stepflow_tui.engine.errors import Stopping
from stepflow_tui.engine.live.tail import Tail
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.live.verifier import LiveVerifier
from stepflow_tui.engine.model.config import BadValue
from stepflow_tui.engine.postgres import progress
from stepflow_tui.engine.postgres.live_tables import install_live
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.claim import claim_target
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection, plan_of, target_of
from stepflow_tui.engine.steps.live.capture import installed_of
from stepflow_tui.engine.steps.live.figures import why_it_ended
from stepflow_tui.engine.steps.live.gate import run_tables
from stepflow_tui.engine.steps.live.mend import finish_recopy, let_go, mend_capture, mendable
from stepflow_tui.engine.steps.live.proven import Proven
from stepflow_tui.engine.steps.live.snapshot import position_of
from stepflow_tui.engine.steps.masking import mask_of

T = TypeVar("T")

SERVICE = "tail"
LOOK_SECONDS = 0.1
READERS = ("verifier", "switch")
"""Services that read at the tail's common points."""


@dataclass(frozen=True, slots=True)
class _Making:
    """Held while the tail is put together, or capture is mended: nobody else puts a second one together meanwhile."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def tail_of(ctx: RunContext) -> Tail:
    """The engine's tail; it begins where the watermark in the target stands."""
    async with _making(ctx):
        return ctx.memory.find(Tail) or await _new_tail(ctx)


async def keep_tailing(ctx: RunContext) -> None:
    """Keep the target current until the service is stopped."""
    await tail_of(ctx)
    ctx.services.start(SERVICE, lambda: _follow(ctx))


async def stop_tailing(ctx: RunContext) -> None:
    """Stop the service; changes stay in the log."""
    await ctx.services.stop(SERVICE)


async def undisturbed(ctx: RunContext, work: Callable[[], Awaitable[T]]) -> T:
    """Work that reads at the tail's common points. When capture was disturbed under it, it begins anew after the mending.

    Whoever notices the disturbance first, the tail's service mends it; only where none runs yet, this does.

    Raises:
        Stopping: the engine ends.
        StepFlowError: what `work` raises on a tail that stands.
    """
    while True:
        tail = await tail_of(ctx)
        try:
            return await work()
        except Stopping:
            raise
        except Exception as exc:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise  # whoever cancelled it waits for its end
            # what it ran into while its tail was being taken away is no error of its own
            if ctx.memory.find(Tail) is tail:
                if not mendable(exc):
                    await let_go(ctx, exc)
                    raise await why_it_ended(ctx, exc) from exc
                if not ctx.services.runs(SERVICE):
                    await _mend(ctx, tail, exc)
        while ctx.memory.find(Tail) in (None, tail):
            await ctx.control.checkpoint()
            await ctx.clock.sleep(LOOK_SECONDS)


def _making(ctx: RunContext) -> asyncio.Lock:
    made = ctx.memory.find(_Making)
    if made is None:
        made = _Making()
        ctx.memory.put(made)
    return made.lock


async def _new_tail(ctx: RunContext) -> Tail:
    job = await tail_job(ctx)
    await finish_recopy(ctx)
    tail = Tail(job, control=ctx.control, clock=ctx.clock)
    ctx.resources.push_async_callback(tail.close)
    ctx.memory.put(tail)
    return tail


async def _follow(ctx: RunContext) -> None:
    while True:
        tail = await tail_of(ctx)
        try:
            await tail.run()
        except Exception as exc:
            if not mendable(exc):
                await let_go(ctx, exc)
                raise await why_it_ended(ctx, exc) from exc
            await _mend(ctx, tail, exc)


async def _mend(ctx: RunContext, tail: Tail, error: Exception) -> None:
    async with ctx.services.held(*READERS), _making(ctx):
        await tail.close()
        for kind in (Tail, LiveVerifier, Proven):
            ctx.memory.drop(kind)
        await mend_capture(ctx, error)
        await _new_tail(ctx)


async def tail_job(ctx: RunContext) -> TailJob:
    """What the tail works on; the watermark is this engine's from here on."""
    job = await _job(ctx)
    ctx.memory.put(job)
    return job


async def _job(ctx: RunContext) -> TailJob:
    epoch = await claim_target(ctx)
    async with connection(ctx) as conn:
        await install_live(conn)
        await progress.start(conn, ctx.run_id, epoch, await position_of(ctx))
    config = ctx.config
    return TailJob(
        run=ctx.run_id,
        epoch=epoch,
        source=real_path(config.source.path),
        target=await target_of(ctx),
        tables=await run_tables(ctx),
        installed=await installed_of(ctx),
        encoding=(await plan_of(ctx)).encoding,
        replace=config.copying.on_bad_value is BadValue.REPLACE,
        mask=await mask_of(ctx),
        max_rows_per_second=config.copying.max_rows_per_second,
        keep_seconds=config.capture.keep,
    )

"""What happens between fence and switch, in this order; and its undoing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from stepflow_tui.engine.errors import StepFailed, TargetConnectionError
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.sqlite import fence as lite_fence
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection
from stepflow_tui.engine.steps.live.capture import capture_plan_of
from stepflow_tui.engine.steps.live.freeze_watch import Watch
from stepflow_tui.engine.steps.live.gate import gate_version, open_target
from stepflow_tui.engine.steps.live.keys import add_keys, remove_keys
from stepflow_tui.engine.steps.live.proof import prove_touched
from stepflow_tui.engine.steps.live.proven import Proven
from stepflow_tui.engine.steps.live.returning import prepare_return, prove_return, undo_return
from stepflow_tui.engine.steps.live.sequences import set_sequences
from stepflow_tui.engine.steps.live.tailing import tail_of
from stepflow_tui.engine.together import to_the_end

OPEN_SECONDS = 30.0
AWAY_SECONDS, RETRY_SECONDS = 120.0, 0.5


@dataclass(slots=True)
class Frozen:
    """What a freeze did, with the seconds each part took since the fence stood."""

    facts: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    async def tell(self, ctx: RunContext, part: str, **more: Any) -> None:
        """Journal one part."""
        self.facts[f"{part}_seconds"] = round(time.monotonic() - self.began, 3)
        self.facts |= more
        await ctx.journal.event(f"cutover_{part}", {"seconds": self.facts[f"{part}_seconds"], **more})


async def freeze(ctx: RunContext, watch: Watch) -> Frozen:
    """From the fence to the point of no return.

    Raises:
        StepFailed: `freeze_too_long`; Drift: the fence did not stand to the end; and whatever a part raises. The caller
            lifts the fence then.
    """
    allowed = ctx.config.cutover.max_freeze
    version = await gate_version(ctx)  # named at the end: a decision about the owner in between makes this freeze fail
    await prepare_return(ctx)  # triggers of the way back: made before the freeze, silent until the application writes
    done = Frozen()
    try:
        async with asyncio.timeout(allowed):
            await _behind_the_fence(ctx, done, allowed)
    except TimeoutError:
        raise StepFailed(
            f"The cutover took longer than {allowed:g} s and was taken back; the application writes to SQLite as before.",
            detail=f"done in time: {', '.join(done.facts) or 'nothing'}",
            hint="Try at a quieter time, or allow more with `cutover.max_freeze`.",
            code="freeze_too_long",
        ) from None
    await watch.deciding()
    await to_the_end(_point_of_no_return(ctx, done, version))
    return done


async def _behind_the_fence(ctx: RunContext, done: Frozen, allowed: float) -> None:
    tail = await tail_of(ctx)
    ctx.memory.get(Proven)  # gone where capture was disturbed since: the next try proves everything again
    path = real_path(ctx.config.source.path)
    plan = await capture_plan_of(ctx)
    tables = [t.source for t in plan.tables]
    facts = await to_the_end(lite_fence.raise_fence(path, tables, owner=Owner.SQLITE, wait=allowed))
    done.began = time.monotonic()
    await done.tell(ctx, "fenced", log_max=facts.log_max)
    tick = await tail.drain()
    await done.tell(ctx, "drained", changes=tick.changes, applied=tick.applied)
    await done.tell(ctx, "compared", keys=await prove_touched(ctx))
    async with connection(ctx) as conn:
        await done.tell(ctx, "sequences", sequences=await set_sequences(ctx, conn))
        await done.tell(ctx, "keys", refused=await add_keys(ctx, conn))
    await prove_return(ctx)
    await done.tell(ctx, "return_proven")


async def _point_of_no_return(ctx: RunContext, done: Frozen, version: int) -> None:
    """One commit in the target decides: from here on PostgreSQL owns writes. What SQLite took after the comparison would be
    lost with it, so the fence is looked at last."""
    tables = [t.source for t in (await capture_plan_of(ctx)).tables]
    path, compared = real_path(ctx.config.source.path), ctx.memory.get(Proven).n
    await lite_fence.hold_fence(path, tables, compared=compared)
    await ctx.journal.event("cutover_point_of_no_return", {})
    await open_target(ctx, wait=OPEN_SECONDS, version=version)
    failpoint("freeze_decided")
    await lite_fence.set_owner(path, Owner.POSTGRESQL, wait=OPEN_SECONDS)
    await done.tell(ctx, "writes_open")
    await ctx.journal.audit(ctx.answers.who, "cutover", done.facts)


async def open_new_side(ctx: RunContext) -> None:
    """Whatever is left to do after the point of no return; all of it may have been done.

    A server that restarts just now is waited for: both sides refuse writes until this is through.
    """
    until = ctx.clock.monotonic() + AWAY_SECONDS
    while True:
        try:
            await open_target(ctx, wait=OPEN_SECONDS)
            break
        except TargetConnectionError:
            if ctx.clock.monotonic() >= until:
                raise
            await ctx.clock.sleep(RETRY_SECONDS)
    await lite_fence.set_owner(real_path(ctx.config.source.path), Owner.POSTGRESQL, wait=OPEN_SECONDS)
    ctx.journal.gauge("live", {"owner": Owner.POSTGRESQL.value})


async def unfreeze(ctx: RunContext) -> None:
    """Before the point of no return: the target is as catching up needs it, and the application writes to SQLite again."""
    path = real_path(ctx.config.source.path)
    await lite_fence.lift_fence(path, owner=Owner.SQLITE, wait=OPEN_SECONDS)  # first: nobody waits for the rest
    await ctx.journal.event("cutover_taken_back", {})
    await clear_new_side(ctx)


async def clear_new_side(ctx: RunContext) -> None:
    """What the cutover made in the target is taken out of it; harmless where it made nothing."""
    async with connection(ctx) as conn:
        await remove_keys(ctx, conn)
        await undo_return(ctx, conn)

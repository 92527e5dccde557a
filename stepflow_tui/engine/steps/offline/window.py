"""The maintenance window: when it began, when it is over, and how far the run got in it. Journalled before anything is done.

It begins when the application is stopped, whatever engine works, and it goes on while none does.
"""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.state import RunState
from stepflow_tui.engine.steps.application.state import UNDERWAY
from stepflow_tui.engine.steps.context import RunContext

GAUGE = "window"
SERVICE = "window"
LOOK_SECONDS = 0.2


class Stage(StrEnum):
    """How the window stands."""

    OPEN = "open"  # the application is stopped, SQLite owns writes
    DECIDING = "deciding"  # the target decides who owns writes: only it can tell
    SWITCHED = "switched"  # the application works with PostgreSQL
    RETURNED = "returned"  # the application works with SQLite, as before


STANDING = (Stage.OPEN, Stage.DECIDING)
"""The application is stopped."""


def shown(ctx: RunContext) -> dict[str, Any]:
    """What the journal says about it; empty before the first one."""
    return ctx.journal.gauges().get(GAUGE) or {}


def stage_of(ctx: RunContext) -> Stage | None:
    """How it stands; None before the first one."""
    found = shown(ctx).get("state")
    return Stage(found) if found is not None else None


def stands(ctx: RunContext) -> bool:
    """Whether the application is stopped."""
    return stage_of(ctx) in STANDING


def standing_still(run_dir: Path) -> str:
    """Why the application does not work, or not as before, for whoever looks from outside; "" where nothing was done to it.

    Raises:
        StepFlowError: the run's journal can't be read.
    """
    with RunReader(run_dir) as reader:
        gauges = reader.gauges()
    window, stage = gauges.get(GAUGE) or {}, (gauges.get("application") or {}).get("state")
    if window.get("state") in STANDING:
        left = round(int(window["ends_ms"]) / 1000 - time.time())
        of = f"{left} s of the maintenance window are left" if left > 0 else "the maintenance window is over"
        return f"The application is stopped; {of}."
    return f"The application is on its way to another side: {stage}." if stage in UNDERWAY else ""


def left_seconds(ctx: RunContext) -> float:
    """Until it is over; below 0 when it is."""
    return float((int(shown(ctx)["ends_ms"]) - ctx.clock.now_ms()) / 1000)


async def begin(ctx: RunContext) -> None:
    """The application is about to be stopped. One that stands goes on."""
    if stands(ctx):
        return
    now, seconds = ctx.clock.now_ms(), ctx.config.cutover.window
    before = shown(ctx)  # what an earlier window of this run took tells more than any estimate
    predicted = before.get("actual_seconds") or before.get("predicted_seconds")
    times = {"began_ms": now, "ends_ms": now + int(seconds * 1000), "seconds": seconds, "predicted_seconds": predicted}
    await enter(ctx, Stage.OPEN, **times, actual_seconds=None, stopped_seconds=None, steps={}, over=False)
    await ctx.journal.event("offline_window_began", {"seconds": seconds, "predicted_seconds": predicted})


async def enter(ctx: RunContext, stage: Stage, **more: Any) -> None:
    """Write down how it stands, on disk when this returns."""
    ctx.journal.gauge(GAUGE, {"state": stage.value, **more})
    await ctx.journal.flush_gauges()


def since_seconds(ctx: RunContext) -> float:
    """How long the application has been stopped."""
    return round((ctx.clock.now_ms() - int(shown(ctx)["began_ms"])) / 1000, 3)


def refuse_over(ctx: RunContext) -> None:
    """Raise StepFailed `window_over` when there is no time left."""
    if left_seconds(ctx) <= 0:
        raise over(ctx)


def over(ctx: RunContext) -> StepFailed:
    """The error that ends a run whose window is over."""
    seconds = float(shown(ctx)["seconds"])
    return StepFailed(
        f"The maintenance window of {seconds:g} s was over before the switch: the run goes back to the old side by itself.",
        detail="Nothing is lost: writes were refused meanwhile, and PostgreSQL took none.",
        hint="Run again at a time that allows a longer `cutover.window`; `stepflow status` shows how long each part took.",
        code="window_over",
    )


async def guard(ctx: RunContext) -> None:
    """End the run's work when time is over; once the target decides, there is nothing to guard any more.

    Raises:
        StepFailed: `window_over`.
    """
    told = False
    while stage_of(ctx) is Stage.OPEN:
        if (left := left_seconds(ctx)) <= 0:
            ctx.journal.gauge(GAUGE, {"over": True})
            raise over(ctx)
        waits = await ctx.journal.state() in (RunState.WAITING, RunState.PAUSED)
        if waits and not told:
            await ctx.journal.event("offline_waits", {"left_seconds": round(left, 1)}, level=Level.WARNING)
        told = waits
        await ctx.clock.sleep(LOOK_SECONDS)

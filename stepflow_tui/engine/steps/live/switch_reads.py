"""Moves reads to the new side by the configured strategy, watched, and back by itself when something is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.live.tail import Tail
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.live import Lag
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import target_of
from stepflow_tui.engine.steps.live.orders import Order, OrderKind, orders_of
from stepflow_tui.engine.steps.live.proof import verifier_of
from stepflow_tui.engine.steps.live.reads_by_restart import moves_by_restart, pass_shadow_reads
from stepflow_tui.engine.steps.live.rehearsals import SERVICE as REHEARSALS
from stepflow_tui.engine.steps.live.rehearsals import keep_rehearsing
from stepflow_tui.engine.steps.live.tailing import tail_of, undisturbed
from stepflow_tui.engine.switch.controller import SwitchController
from stepflow_tui.engine.switch.links import Links
from stepflow_tui.engine.switch.shadow import ShadowReads
from stepflow_tui.engine.together import together

SERVICE = "switch"
ORDERS = (OrderKind.SHARE, OrderKind.BACK, OrderKind.REARM)
LOOK_SECONDS = 0.25


class SwitchReads(PlainStep):
    """Ends when all reads have been on the new side for the soak time; where they move with the application's restart, when
    the shadow reads have passed."""

    name = "switch-reads"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Lead the switch until it is finished; pauses and orders are looked at between rounds."""
        await keep_switching(ctx)
        if moves_by_restart(ctx.config):
            return await pass_shadow_reads(ctx)
        while (controller := ctx.memory.find(SwitchController)) is None or not controller.finished.is_set():
            await ctx.control.checkpoint()
            await ctx.clock.sleep(LOOK_SECONDS)
        shown = ctx.journal.gauges().get("switch", {})
        return {k: shown.get(k) for k in ("strategy", "percentage", "shadow_reads", "mismatches", "verdict")}

    async def undo(self, ctx: RunContext) -> Evidence:
        """All reads on the old side again."""
        await ctx.services.stop(REHEARSALS)
        if not moves_by_restart(ctx.config):
            await stop_switching(ctx)
        await ctx.journal.forget_gauges("switch")  # its last figures are not those of a run that has no switch any more
        return {"share": 0}


async def keep_switching(ctx: RunContext) -> None:
    """Lead the switch, and keep the routers' lease alive, until the service is stopped; rehearse the cutover on demand."""
    if not moves_by_restart(ctx.config):
        ctx.services.start(SERVICE, lambda: undisturbed(ctx, lambda: _lead(ctx)))
    keep_rehearsing(ctx)


async def stop_switching(ctx: RunContext) -> None:
    """Bring reads back and end the lease: they follow the side that owns writes. Going forward begins at the first stage.

    Raises:
        StepFlowError: PostgreSQL can't be reached.
    """
    await ctx.services.stop(SERVICE)
    controller = await _controller(ctx)
    try:
        await controller.withdraw(ctx.answers.who or "the engine")
    finally:
        await controller.close()


async def hush_shadow_reads(ctx: RunContext) -> None:
    """None of them until `resume_shadow_reads`; the switch itself goes on."""
    controller = ctx.memory.find(SwitchController)
    if controller is not None:
        await controller.hush()


def resume_shadow_reads(ctx: RunContext) -> None:
    """Shadow reads go on, if there is a switch."""
    controller = ctx.memory.find(SwitchController)
    if controller is not None:
        controller.speak()


async def _lead(ctx: RunContext) -> None:
    controller = await _controller(ctx)
    ctx.memory.put(controller)
    try:
        await together((controller.run(), _take_orders(ctx, controller)))
    finally:
        ctx.memory.drop(SwitchController)
        await asyncio.shield(controller.close())


async def _take_orders(ctx: RunContext, controller: SwitchController) -> None:
    while True:
        for order in orders_of(ctx).take(*ORDERS):
            try:
                await _carry_out(controller, order)
            except StepFlowError as exc:
                await ctx.journal.event(
                    "switch_refused", {"code": exc.code, "message": exc.message}, level=Level.WARNING
                )
        await ctx.clock.sleep(LOOK_SECONDS)


async def _carry_out(controller: SwitchController, order: Order) -> None:
    if order.kind is OrderKind.SHARE:
        await controller.set_share(order.share, order.who)
    elif order.kind is OrderKind.BACK:
        await controller.back(order.who)
    else:
        await controller.rearm(order.who)


async def _controller(ctx: RunContext) -> SwitchController:
    config, target = ctx.config.switch, await target_of(ctx)
    tail, verifier = await tail_of(ctx), await verifier_of(ctx)
    shadow = ShadowReads(tail, verifier, per_second=config.shadow_reads, clock=ctx.clock)

    async def event(code: str, data: Mapping[str, Any]) -> None:
        level = Level.WARNING if code == "switch_rolled_back" else Level.INFO
        await ctx.journal.event(code, dict(data), level=level)
        await ctx.journal.audit(str(data.get("by") or "the engine"), code, dict(data))

    async def keep(data: Mapping[str, Any]) -> None:
        ctx.journal.gauge("switch", data)
        await ctx.journal.flush_gauges()

    roles = {*ctx.config.target.grant, *filter(None, (ctx.config.target.owner,))}
    links = Links(
        connect=target.connect,
        source=real_path(ctx.config.source.path),
        run=ctx.run_id,
        clock=ctx.clock,
        lag=lambda: _lag(ctx),
        gauge=lambda data: ctx.journal.gauge("switch", data),
        event=event,
        keep=keep,
        before=ctx.journal.gauges().get("switch", {}),
        shadow=shadow if config.shadow_reads else None,
        roles=sorted(roles),
    )
    return SwitchController(config, links)


def _lag(ctx: RunContext) -> Lag | None:
    tail = ctx.memory.find(Tail)
    return tail.lag if tail is not None else None

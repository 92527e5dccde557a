"""Reads that move with the application's restart: no router leads them there, so only the shadow reads tell beforehand
whether the new side answers as the old one does."""

from __future__ import annotations

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.steps.application.bookkeeping import changes_application
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.live.proof import verifier_of
from stepflow_tui.engine.steps.live.tailing import tail_of
from stepflow_tui.engine.switch.reports import Batch
from stepflow_tui.engine.switch.shadow import ROUND_SECONDS, ShadowReads

STRATEGY = "restart"
ROUTED = "reads move with the restart of the application"
LED = frozenset({"strategy", "steps", "soak", "canary", "ab", "groups"})
"""Keys of `switch` that only routers follow: who writes one down has routers, whatever restarts them."""


def moves_by_restart(config: Config) -> bool:
    """Whether reads follow the application's settings and not a router."""
    return changes_application(config.application) and not LED & config.switch.model_fields_set


async def pass_shadow_reads(ctx: RunContext) -> Evidence:
    """One pass of the shadow reads over all tables that finds no difference; none where they are switched off.

    Raises:
        Stopping: the engine ends.
        StepFlowError: a side is gone for good.
    """
    total = Batch()
    if ctx.config.switch.shadow_reads:
        shadow = None
        while shadow is None or not shadow.passed or shadow.found:
            shadow = await _next(ctx, shadow, total)
    _show(ctx, total, "restart")
    return {"strategy": STRATEGY, "shadow_reads": total.shadows, "mismatches": total.mismatches}


class _Pass:
    """One pass, with the tail that it reads along."""

    def __init__(self, ctx: RunContext, tail: object, reads: ShadowReads) -> None:
        self._ctx, self.tail, self._reads = ctx, tail, reads
        self.found = 0

    @property
    def passed(self) -> bool:
        """Whether it is complete."""
        return self._reads.passed

    def restart(self) -> None:
        """Begin it anew: what differed may have been on its way."""
        self._reads.restart()
        self.found = 0

    async def round(self, total: Batch) -> None:
        """Read some rows. A round that fails is left out: whoever must not miss that is the tail."""
        try:
            await self._reads.round()
        except StepFlowError:
            await self._ctx.clock.sleep(ROUND_SECONDS)
        batch = self._reads.take()
        self.found += batch.mismatches
        total.merge(batch)


async def _next(ctx: RunContext, shadow: _Pass | None, total: Batch) -> _Pass:
    """One round more; a new pass where the tail is another one since, or rows differed."""
    await ctx.control.checkpoint()
    tail = await tail_of(ctx)
    if shadow is None or shadow.tail is not tail:
        reads = ShadowReads(tail, await verifier_of(ctx), per_second=ctx.config.switch.shadow_reads, clock=ctx.clock)
        shadow = _Pass(ctx, tail, reads)
    elif shadow.passed:
        shadow.restart()
    await shadow.round(total)
    _show(ctx, total, "suspicious" if shadow.found else "passing")
    if not shadow.passed or shadow.found:
        await ctx.clock.sleep(ROUND_SECONDS)
    return shadow


def _show(ctx: RunContext, total: Batch, verdict: str) -> None:
    ctx.journal.gauge(
        "switch",
        {
            "strategy": STRATEGY,
            "stage": 0,
            "stages": [100.0],
            "version": 0,
            "percentage": 0.0,
            "owner": Owner.SQLITE.value,
            "shadow_reads": total.shadows,
            "mismatches": total.mismatches,
            "verdict": {"code": verdict, "params": {}},
        },
    )

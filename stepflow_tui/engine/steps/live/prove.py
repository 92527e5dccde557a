"""Proves both sides equal while writes go on, and keeps proving it."""

from __future__ import annotations

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.live.verifier_state import PassResult
from stepflow_tui.engine.model.discrepancy import Verified
from stepflow_tui.engine.model.finding import warning
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RepairWanted, RunContext
from stepflow_tui.engine.steps.facts import anchor_audit
from stepflow_tui.engine.steps.live.proof import (
    advance,
    keep_result,
    reconcile,
    refuse_different,
    refuse_unequal,
    verifier_of,
)
from stepflow_tui.engine.steps.live.proven import Proven
from stepflow_tui.engine.steps.live.relog import log_keys
from stepflow_tui.engine.steps.live.tailing import undisturbed
from stepflow_tui.engine.steps.settle import settle_checklist

SERVICE = "verifier"
REHEARSALS = "rehearsals"
"""The service of `rehearsals`: a dry run compares, so it ends before comparing does."""


class Prove(PlainStep):
    """A clean pass over every row. Differences stop the run here; a repair that was asked for is done first."""

    name = "prove"

    async def apply(self, ctx: RunContext) -> Evidence:
        """One pass, a repair and another pass if somebody asked for it, and the continuous verifier from then on.

        Raises:
            Different: a row differs, was rejected or quarantined, or an invariant does not hold.
        """
        result = await _look(ctx)
        wanted = ctx.memory.find(RepairWanted)
        if wanted is not None and not result.clean:
            await _repair(ctx, result, wanted.who)
            result = await _look(ctx)
        _refuse(result)
        await anchor_audit(ctx)
        await settle_checklist(ctx)
        await keep_proving(ctx)
        return {
            "tables": len(result.verdicts),
            "points": result.points,
            "seconds": result.seconds,
            "longest_seconds": result.longest_seconds,
            "from": result.from_n,
        }

    async def undo(self, ctx: RunContext) -> Evidence:
        """Stop comparing."""
        await ctx.services.stop(REHEARSALS, SERVICE)
        return {}


async def keep_proving(ctx: RunContext) -> None:
    """Keep walking the tables until the service is stopped."""
    ctx.services.start(SERVICE, lambda: _walk(ctx))


async def clean_pass(ctx: RunContext) -> int:
    """A fresh proof: a whole pass unless this engine has one, then what was touched since. Returns how many keys are left.

    Raises:
        Different: as `Prove.apply`.
    """
    return await undisturbed(ctx, lambda: _clean_pass(ctx))


async def _clean_pass(ctx: RunContext) -> int:
    if ctx.memory.find(Proven) is None or (await verifier_of(ctx)).clean is None:
        _refuse(await _look_once(ctx))
    await reconcile(ctx)
    try:
        return await advance(ctx)
    except StepFailed as exc:
        if exc.code != "log_pruned":
            raise
        # proven longer ago than `capture.keep`: what was touched since is no longer known, so every row is compared
        ctx.memory.drop(Proven)
    _refuse(await _look_once(ctx))
    return await advance(ctx)


async def _walk(ctx: RunContext) -> None:
    async def walk() -> None:
        await (await verifier_of(ctx)).run()

    await undisturbed(ctx, walk)


async def _look(ctx: RunContext) -> PassResult:
    return await undisturbed(ctx, lambda: _look_once(ctx))


async def _look_once(ctx: RunContext) -> PassResult:
    result = await (await verifier_of(ctx)).one_pass()
    await keep_result(ctx, result)
    return result


def _refuse(result: PassResult) -> None:
    """Tables that are compared as a whole in the cutover are no difference yet."""
    refuse_different(result.invariants)
    refuse_unequal(*(v for v in result.verdicts if v.verified is Verified.DIFFERENT))


async def _repair(ctx: RunContext, result: PassResult, who: str) -> None:
    """Put the differing keys into the change log: the tail reads what they are now. A defect, and named as one."""
    verifier = await verifier_of(ctx)
    keys = verifier.repair_keys([d for v in result.verdicts for d in v.discrepancies])
    count = sum(map(len, keys.values()))
    await ctx.journal.audit(who, "repair", {"rows": count})
    await log_keys(ctx, keys)
    await ctx.journal.set_findings("repair", [warning("rows_repaired", None, count=count, by=who)])

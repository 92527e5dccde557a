"""How far both sides are proven equal: a clean pass over every row, and then, point by point, what was touched since."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.errors import Different
from stepflow_tui.engine.live.verifier import LiveVerifier
from stepflow_tui.engine.live.verifier_state import Pace, PassResult, VerifierState
from stepflow_tui.engine.model.discrepancy import Discrepancy, TableVerdict, Verified
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import plan_of
from stepflow_tui.engine.steps.live.capture import capture_plan_of
from stepflow_tui.engine.steps.live.proven import Proven
from stepflow_tui.engine.steps.live.rejects import settle_rejects
from stepflow_tui.engine.steps.live.relog import log_missed
from stepflow_tui.engine.steps.live.set_aside import show_set_aside
from stepflow_tui.engine.steps.live.tailing import tail_of
from stepflow_tui.engine.steps.verify import live_job, save_verdicts

FEW = 1_000
"""Log entries that a freeze may well compare: some tens of milliseconds."""

AT_ONCE = 5_000
"""Log entries compared at one common point, whose snapshot holds back the source's WAL."""

ROUNDS = 100

REPAIR = "`stepflow verify --repair plan` shows the repair; a clean pass must follow it."
REJECTED = (
    "`stepflow report` names each row that the target can't hold, with its reason: correct it in the application, and it is "
    "tried again. A wider type is a line under `types`, and a new run."
)
MISSED = 10_000
"""Rows of one table that its log may have missed and that one freeze brings over."""


async def verifier_of(ctx: RunContext) -> LiveVerifier:
    """The engine's verifier."""
    known = ctx.memory.find(LiveVerifier)
    if known is not None:
        return known
    captured = await capture_plan_of(ctx)
    made = LiveVerifier(
        await live_job(ctx, real_path(ctx.config.source.path), (await plan_of(ctx)).tables),
        await tail_of(ctx),
        run=ctx.run_id,
        clock=ctx.clock,
        rules=ctx.config.verify.rules,
        invariants=ctx.config.verify.invariants,
        reconcile={t.source: t.reconcile for t in captured.tables if t.reconcile is not None},
        control=ctx.control,
        pace=Pace(tries=40),  # as patient as the tail: a server that restarts slowly ends nothing
        gauge=lambda state: _show(ctx, state),
        on_pass=lambda result: keep_result(ctx, result),
    )
    ctx.resources.push_async_callback(made.close)
    ctx.memory.put(made)
    return made


async def keep_result(ctx: RunContext, result: PassResult) -> None:
    """Journal what a pass found; a clean one proves more than what was proven before."""
    await save_verdicts(ctx, result.verdicts, result.invariants)
    await settle_rejects(ctx, result.verdicts)
    if any(v.rejected_rows for v in result.verdicts):
        await show_set_aside(ctx)  # the run may end over them at once, and its report names them
    known = ctx.memory.find(Proven)
    if result.clean and (known is None or known.n < result.from_n):
        ctx.memory.put(Proven(result.from_n))


def _show(ctx: RunContext, state: VerifierState) -> None:
    ctx.journal.gauge(
        "live",
        {
            "verifier": {
                "passes": state.passes,
                "table": state.table,
                "done": state.done,
                "total": state.total,
                "clean_at": state.clean_at,
                "clean_w": state.clean_w,
                "differing": state.differing,
                "repairs": state.repairs,
            }
        },
    )


async def advance(ctx: RunContext, *, enough: int = FEW) -> int:
    """Compare what was logged since it was last proven, until little is left. Returns how many log entries.

    Raises:
        Different: a row differs although the tail has applied its last change.
    """
    tail, verifier = await tail_of(ctx), await verifier_of(ctx)
    left = 0
    for _ in range(ROUNDS):
        await ctx.control.checkpoint()
        async with tail.point() as point:
            high, found = await verifier.compare_logged(point, ctx.memory.get(Proven).n, AT_ONCE)
            if found:
                await show_set_aside(ctx)  # some of them may be: the report names them when the run ends here
            refuse_different(found)
            ctx.memory.put(Proven(high))
            left = point.n - high
        if left <= enough:
            break
    return left


async def prove_touched(ctx: RunContext) -> int:
    """Under a fence: compare exactly what was logged since it was last proven, tables whose log may miss keys as a whole,
    and ask the invariants. Returns how many log entries.

    Raises:
        Different: a row differs, or an invariant does not hold.
    """
    tail, verifier = await tail_of(ctx), await verifier_of(ctx)
    before = ctx.memory.get(Proven).n
    doubtful = await reconcile(ctx)
    async with tail.point() as point:
        high, found = await verifier.compare_logged(point, before)
        for table in doubtful:
            verdict = await verifier.compare_whole(point, table)
            await ctx.journal.save_verdict(verdict)
            refuse_unequal(verdict)
        refuse_different([*found, *await verifier.ask_invariants(point)])
        ctx.memory.put(Proven(high))
    return high - before


async def reconcile(ctx: RunContext) -> list[str]:
    """Compare the tables whose log may miss rows as a whole, and bring over what it missed. Returns those that differed: only
    a second comparison can tell that they don't any more.

    Done before the freeze too: a row that should be gone keeps newer ones with its unique value out, as quarantined.
    """
    tail, verifier = await tail_of(ctx), await verifier_of(ctx)
    differed = []
    for table in (t.source for t in (await capture_plan_of(ctx)).tables if t.reconcile is not None):
        async with tail.point() as point:
            verdict = await verifier.compare_whole(point, table, most=MISSED)
        await ctx.journal.save_verdict(verdict)
        if verdict.verified is Verified.EQUAL:
            await settle_rejects(ctx, [verdict])
            continue
        count = await log_missed(ctx, verdict)
        await ctx.journal.event("rows_reconciled", {"table": table, "count": count}, level=Level.WARNING)
        differed.append(table)
    while differed and not (await tail.step()).whole:
        await ctx.control.checkpoint()
    return differed


def refuse_unequal(*verdicts: TableVerdict) -> None:
    """Raise Different unless these tables are equal."""
    other = [v for v in verdicts if v.verified is not Verified.EQUAL]
    if other:
        raise Different(
            f"{len(other)} tables are not proven equal."
            if len(other) > 1
            else f"The table {other[0].table} is not proven equal.",
            detail="; ".join(f"{v.table}: {v.reason or f'{v.differences} rows differ'}" for v in other[:10]),
            hint=REJECTED if any(v.rejected_rows for v in other) else REPAIR,
            code="live_differences",
        )


def refuse_different(found: Sequence[Discrepancy]) -> None:
    """Raise Different if there is anything in it."""
    if found:
        raise Different(
            f"{len(found)} rows differ between the source and the target although all changes are applied.",
            detail="; ".join(f"{d.table} {d.key}" for d in found[:10]),
            hint=REJECTED if any(d.cause.startswith(("quarantined", "rejected")) for d in found) else REPAIR,
            code="live_differences",
        )

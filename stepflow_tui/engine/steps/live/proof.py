"""How far both sides are proven equal: a clean pass over every row, and then, point by point, what was touched since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from stepflow_tui.engine.errors import Different
from stepflow_tui.engine.live.verifier import LiveVerifier
from stepflow_tui.engine.live.verifier_state import Pace, VerifierState
from stepflow_tui.engine.model.discrepancy import Discrepancy, TableVerdict, Verified
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import plan_of
from stepflow_tui.engine.steps.live.capture import capture_plan_of
from stepflow_tui.engine.steps.live.proven import Proven
from stepflow_tui.engine.steps.live.tailing import tail_of
from stepflow_tui.engine.steps.verify import live_job

FEW = 1_000
"""Keys that a freeze may well compare: some tens of milliseconds."""

AT_ONCE = 5_000
"""Keys compared at one common point, whose snapshot holds back the source's WAL."""

ROUNDS = 10

Keys = Mapping[str, Sequence[Sequence[Any]]]


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
        pace=Pace(),
        gauge=lambda state: _show(ctx, state),
    )
    ctx.resources.push_async_callback(made.close)
    ctx.memory.put(made)
    return made


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
    """Compare what was touched since it was last proven, until few keys are left. Returns how many.

    Raises:
        Different: a row differs although the tail has applied its last change.
    """
    tail, verifier = await tail_of(ctx), await verifier_of(ctx)
    left = 0
    for _ in range(ROUNDS):
        touched = await tail.touched_since(ctx.memory.get(Proven).n)
        left = sum(map(len, touched.values()))
        if left <= enough:
            break
        first: int | None = None
        for part in _parts(touched):
            await ctx.control.checkpoint()
            async with tail.point() as point:
                refuse_different(await verifier.compare_touched(point, part))
                first = point.n if first is None else first
        assert first is not None
        ctx.memory.put(Proven(first))
    return left


async def prove_touched(ctx: RunContext) -> int:
    """Under a fence: compare exactly what was touched since it was last proven, tables whose log may miss keys as a whole,
    and ask the invariants. Returns how many keys.

    Raises:
        Different: a row differs, or an invariant does not hold.
    """
    tail, verifier = await tail_of(ctx), await verifier_of(ctx)
    touched = await tail.touched_since(ctx.memory.get(Proven).n)
    reconcile = [t.source for t in (await capture_plan_of(ctx)).tables if t.reconcile is not None]
    async with tail.point() as point:
        found = await verifier.compare_touched(point, touched)
        for table in reconcile:
            verdict = await verifier.compare_whole(point, table)
            await ctx.journal.save_verdict(verdict)
            refuse_unequal(verdict)
        refuse_different([*found, *await verifier.ask_invariants(point)])
        ctx.memory.put(Proven(point.n))
    return sum(map(len, touched.values()))


def refuse_unequal(*verdicts: TableVerdict) -> None:
    """Raise Different unless these tables are equal."""
    other = [v for v in verdicts if v.verified is not Verified.EQUAL]
    if other:
        raise Different(
            f"{len(other)} tables are not proven equal."
            if len(other) > 1
            else f"The table {other[0].table} is not proven equal.",
            detail="; ".join(f"{v.table}: {v.reason or f'{v.differences} rows differ'}" for v in other[:10]),
            hint="`stepflow verify --repair plan` shows the repair; a clean pass must follow it.",
            code="live_differences",
        )


def refuse_different(found: Sequence[Discrepancy]) -> None:
    """Raise Different if there is anything in it."""
    if found:
        raise Different(
            f"{len(found)} rows differ between the source and the target although all changes are applied.",
            detail="; ".join(f"{d.table} {d.key}" for d in found[:10]),
            hint="`stepflow verify --repair plan` shows the repair; a clean pass must follow it.",
            code="live_differences",
        )


def _parts(touched: Keys) -> Iterator[dict[str, list[Sequence[Any]]]]:
    """The keys in groups of bounded size."""
    flat = ((table, key) for table, keys in touched.items() for key in keys)
    while group := list(islice(flat, AT_ONCE)):
        part: dict[str, list[Sequence[Any]]] = {}
        for table, key in group:
            part.setdefault(table, []).append(key)
        yield part

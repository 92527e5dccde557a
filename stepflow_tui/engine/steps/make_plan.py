"""Makes the plan the operator approves; a plan given beforehand must come out again, to the letter."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.model.census import Census
from stepflow_tui.engine.model.codec import from_plain
from stepflow_tui.engine.model.plan import ColumnPlan, Plan, PlannedPhase, PlannedStep, TableFacts, TablePlan
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.census import Census as CensusStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import Frozen, frozen_of, target_of
from stepflow_tui.engine.steps.planning import make_plan
from stepflow_tui.engine.steps.preflight import Seen, target_view
from stepflow_tui.engine.steps.settle import settle_checklist

if TYPE_CHECKING:
    from stepflow_tui.engine.postgres.view import TargetView

APPROVED = "approved-plan.json"


class MakePlan(PlainStep):
    """Types, DDL, objects, hash. Changes nothing."""

    name = "plan"

    async def probe(self, ctx: RunContext) -> Evidence | None:
        """The plan of an earlier engine stands: what was approved is what is carried out."""
        plan = await ctx.journal.load_plan()
        if plan is None:
            return None
        ctx.memory.put(plan)
        return {"hash": plan.hash}

    async def apply(self, ctx: RunContext) -> Evidence:
        """Plan, and journal it.

        Raises:
            Drift: `run --plan` named another plan.
        """
        frozen = await frozen_of(ctx)
        census = ctx.memory.find(Census)
        if census is None:  # an engine died between census and plan
            await CensusStep().apply(ctx)
            census = ctx.memory.get(Census)
        seen = ctx.memory.find(Seen)
        view = (
            seen.view
            if seen is not None
            else await target_view(ctx.config, await target_of(ctx), frozenset({ctx.run_id}))
        )
        made = await asyncio.to_thread(make_plan, frozen.schema, census, ctx.config, view, await listed_phases(ctx))
        await ctx.journal.set_findings("plan", made.findings)
        await refuse_drift(ctx, made.plan)
        await ctx.journal.save_plan(made.plan)
        ctx.memory.put(made.plan)
        await settle_checklist(ctx, times=("before",))
        lost = sum(not o.carried for o in made.plan.objects)
        return {
            "hash": made.plan.hash,
            "tables": len(made.plan.tables),
            "statements": len(made.plan.statements),
            "not_carried": lost,
        }


async def planned_again(ctx: RunContext, frozen: Frozen, census: Census, view: TargetView) -> Plan:
    """The plan as it would be made now, from a newer file; nothing is journalled."""
    return (await asyncio.to_thread(make_plan, frozen.schema, census, ctx.config, view, await listed_phases(ctx))).plan


async def listed_phases(ctx: RunContext) -> tuple[PlannedPhase, ...]:
    """The run's phases and steps, as its plan lists them."""
    rows = await ctx.journal.step_rows()
    return tuple(
        PlannedPhase(
            name=name, steps=tuple(PlannedStep(name=r["name"], danger=r["danger"], loses=r["loses"]) for r in group)
        )
        for name, group in groupby(rows, key=lambda r: r["phase"])
    )


async def refuse_drift(ctx: RunContext, plan: Plan) -> None:
    """Stop where `run --plan` named another plan.

    Raises:
        Drift: the detail names what differs.
    """
    file = ctx.run_dir / APPROVED
    if not file.exists():
        return
    approved: Plan = from_plain(Plan, json.loads(await asyncio.to_thread(file.read_text, encoding="utf-8")))
    if approved.hash == plan.hash:
        return
    raise Drift(
        "The plan is not the one that was given with --plan.",
        detail="; ".join(differences(approved, plan)) or f"hash {approved.hash} given, {plan.hash} now",
        code="plan_drift",
    )


def differences(old: Plan, new: Plan) -> list[str]:
    """What differs between two plans: tables, columns with their types, parts; the first few."""
    before, after = {t.source: t for t in old.tables}, {t.source: t for t in new.tables}
    found = [f"table {n} is new" for n in after.keys() - before.keys()] + [
        f"table {n} is gone" for n in before.keys() - after.keys()
    ]
    for name in before.keys() & after.keys():
        found += _columns(before[name], after[name], new.facts.get(name))
    if old.config_hash != new.config_hash:
        found.append("plan-relevant config")
    if old.schema_hash != new.schema_hash:
        found.append("schema of the source")
    return sorted(found)[:20]


def _columns(old: TablePlan, new: TablePlan, facts: TableFacts | None) -> list[str]:
    """Columns that differ: both types, why the new one, and the bounds of the values; reasons alone are no difference."""
    before, after = {c.source: c for c in old.columns}, {c.source: c for c in new.columns}
    found = [f"column {old.source}.{n} is new" for n in after.keys() - before.keys()]
    found += [f"column {old.source}.{n} is gone" for n in before.keys() - after.keys()]
    for name in before.keys() & after.keys():
        was, now = before[name], after[name]
        if _as_made(was) != _as_made(now):
            types = was.type.sql if was.type.sql == now.type.sql else f"{was.type.sql}, now {now.type.sql}"
            found.append(f"column {old.source}.{name}: {types} ({now.reason}{_bounds(facts, name)})")
    return found


def _as_made(column: ColumnPlan) -> ColumnPlan:
    kind = replace(column.type, scale=None) if column.type.unbounded else column.type
    return replace(column, reason="", type=kind)


def _bounds(facts: TableFacts | None, column: str) -> str:
    known = facts.columns.get(column) if facts is not None else None
    return f"; values from {known.minimum} to {known.maximum}" if known is not None and known.minimum else ""

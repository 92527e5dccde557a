"""The second snapshot: the file that the backfill of a live run reads, with the log's position inside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.model.plan import Plan, TableFacts, TablePlan
from stepflow_tui.engine.model.state import StepState
from stepflow_tui.engine.sqlite.backup import Backup, make_backup, remove_backup
from stepflow_tui.engine.sqlite.capture_state import newest
from stepflow_tui.engine.sqlite.connect import open_frozen
from stepflow_tui.engine.sqlite.examine import examine
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import Frozen, frozen_at, plan_of, target_of
from stepflow_tui.engine.steps.make_plan import differences, planned_again
from stepflow_tui.engine.steps.masking import mask_of
from stepflow_tui.engine.steps.planning import census_of
from stepflow_tui.engine.steps.preflight import target_view

STEP = "backfill.snapshot"


class TakeSnapshot(PlainStep):
    """A consistent copy made after capture was installed: all that changed since stands in the log. Counted again."""

    name = "snapshot"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Make it, or take the finished one, and hold the plan against it.

        Raises:
            Drift: a value that came since the census breaks a type of the approved plan.
        """
        path, made = await take_snapshot(ctx)
        frozen = await frozen_at(path)
        await hold_plan(ctx, frozen)
        ctx.memory.put(frozen)
        position = await asyncio.to_thread(log_position, path)
        return {"path": str(path), "bytes": made.bytes, "position": position, "seconds": round(made.seconds, 3)}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Delete it."""
        return await drop_snapshot(ctx)


class DropSnapshot(PlainStep):
    """The snapshot has served: nothing reads it after the verification."""

    name = "drop-snapshot"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Delete it."""
        return await drop_snapshot(ctx)


async def new_snapshot(ctx: RunContext, tables: Collection[str]) -> Frozen:
    """A snapshot of the source as it is now, in place of any older one, counted for these tables.

    Raises:
        Drift: a table has other columns than the plan.
    """
    await drop_snapshot(ctx)
    path, _ = await take_snapshot(ctx)
    frozen = await frozen_at(path)
    approved, now = await plan_of(ctx), await _plan_now(ctx, frozen)
    _refuse([words for t in sorted(tables) for words in _unlike(approved, now, t)])
    await _keep_counts(ctx, approved, now)
    return frozen


async def take_snapshot(ctx: RunContext, *, stalls: bool = True) -> tuple[Path, Backup]:
    """Make it, or take the finished one that lies there.

    Args:
        stalls: whether an application may be kept waiting by it, so that `source.allow_stall` counts.
    """
    path = snapshot_path(ctx)
    made = await make_backup(
        await examine(ctx.config.source.path),
        path.parent,
        name=path.name,
        control=ctx.control,
        report=ctx.report,
        deadline_s=ctx.config.backup.deadline,
        now_ms=ctx.clock.now_ms(),
        stall_s=ctx.config.source.allow_stall if stalls else None,
    )
    return path, made


async def drop_snapshot(ctx: RunContext) -> Evidence:
    """Delete the snapshot and what lies beside it."""
    await asyncio.to_thread(remove_backup, snapshot_path(ctx))
    return {"snapshot": "deleted"}


def snapshot_path(ctx: RunContext) -> Path:
    """Where it lies: on the disk of the run's own backup, since it is as large, and apart from it, since it is none."""
    folder = Path(ctx.config.backup.dir) if ctx.config.backup.dir is not None else ctx.run_dir / "backup"
    return folder / "snapshots" / f"{ctx.run_id}.db"


async def position_of(ctx: RunContext) -> int:
    """The newest log entry in the snapshot that was copied: the tail begins after it."""
    row = await ctx.journal.step_row(STEP)
    assert row["state"] == StepState.DONE.value
    return int(json.loads(row["evidence"])["position"])


def log_position(path: Path) -> int:
    """The newest entry that the change log in a frozen file ever had; pruning doesn't move it back."""
    with closing(open_frozen(path)) as opened:
        return newest(opened)


async def hold_plan(ctx: RunContext, frozen: Frozen) -> None:
    """Count the snapshot with the copy's own terms: what was approved must still come out, and the copy needs these counts."""
    approved, now = await plan_of(ctx), await _plan_now(ctx, frozen)
    if now.hash != approved.hash:
        _refuse(differences(approved, now) or [f"hash {approved.hash} approved, {now.hash} now"])
    await _keep_counts(ctx, approved, now)


async def _plan_now(ctx: RunContext, frozen: Frozen) -> Plan:
    view = await target_view(ctx.config, await target_of(ctx), frozenset({ctx.run_id}))
    census = await census_of(
        frozen.path, frozen.schema, ctx.config, view, frozen=True, mask=await mask_of(ctx), control=ctx.control
    )
    return await planned_again(ctx, frozen, census, view)


def _refuse(found: list[str]) -> None:
    if found:
        raise Drift(
            "What was written since the plan was approved no longer fits it.",
            detail="; ".join(found),
            hint="`stepflow rollback` takes capture back out; a new run plans with the new values.",
            code="plan_drift",
        )


def _unlike(approved: Plan, now: Plan, source: str) -> list[str]:
    """Columns that a table has no more, or has now, or declares otherwise. Which types its newest values would be given
    doesn't count: the target's table is there, and the copy converts each value exactly, or rejects its row by name."""
    there = {t.source: t for t in now.tables}
    if source not in there:
        return [f"table {source} is gone, or can't be read"]
    old, new = _declared(approved.table(source)), _declared(there[source])
    return [f"column {source}.{name}" for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def _declared(table: TablePlan) -> dict[str, tuple[str, str, bool]]:
    return {c.source: (c.target, c.declared, c.generated is not None) for c in table.columns}


async def _keep_counts(ctx: RunContext, approved: Plan, now: Plan) -> None:
    types = {(t.source, c.source): c.type for t in approved.tables for c in t.columns}
    facts = {
        t.source: _counted(
            now.facts[t.source], {c.source for c in t.columns if types.get((t.source, c.source)) == c.type}
        )
        for t in now.tables
        if t.source in now.facts
    }
    counted = replace(approved, facts=facts)
    await ctx.journal.save_facts(counted)
    ctx.memory.put(counted)


def _counted(facts: TableFacts, alike: set[str]) -> TableFacts:
    """Violations of a column that would get another type now were counted with that type's term. Said to have some, it makes
    the copy ask the approved type's term of every row."""
    columns = {
        name: found if name in alike else replace(found, violations=max(1, found.violations))
        for name, found in facts.columns.items()
    }
    return replace(facts, columns=columns)

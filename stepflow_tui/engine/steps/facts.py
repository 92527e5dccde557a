"""What steps ask of the run again and again: target, frozen file, schema, plan. Kept in memory, rebuilt after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.plan import Plan
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.state import StepState
from stepflow_tui.engine.postgres import control
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.embedded import Embedded
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.connect import open_frozen
from stepflow_tui.engine.steps.context import RunContext

if TYPE_CHECKING:
    import asyncpg

    from stepflow_tui.engine.model.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """The file the copy reads: the tested backup, which can't change any more."""

    path: Path
    schema: SourceSchema


async def find_target(config: Config, state_dir: Path, resources: contextlib.AsyncExitStack) -> Target:
    """The target a config names; an embedded server is started and held until `resources` closes."""
    if config.target.embedded:
        embedded = Embedded(state_dir)
        await embedded.start()
        resources.push_async_callback(embedded.release)
        await embedded.ensure_database(config.name)
        return embedded.target(config.name, schema=config.target.schema_name)
    dsn = config.target.dsn.get_secret_value() if config.target.dsn is not None else None
    return await asyncio.to_thread(Target.from_config, dsn, os.environ, schema=config.target.schema_name)


async def target_of(ctx: RunContext) -> Target:
    """The run's target, found once per engine."""
    if not ctx.has_target:
        ctx.target = await find_target(ctx.config, ctx.state_dir, ctx.resources)
    return ctx.target


@asynccontextmanager
async def connection(ctx: RunContext) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the target for the length of a block."""
    target = await target_of(ctx)
    opened = await target.connect()
    try:
        yield opened
    finally:
        with contextlib.suppress(Exception):  # a session that is gone needs no goodbye; the block's own error counts
            await opened.close(timeout=5)


async def anchor_audit(ctx: RunContext) -> None:
    """Put count and head of the audit chain into the target, where a truncated or rewritten journal can't reach them."""
    here = await ctx.journal.audit_anchor()
    async with connection(ctx) as conn:
        if await control.installed(conn):
            await control.set_anchor(conn, ctx.run_id, here.entries, here.head)


async def frozen_of(ctx: RunContext) -> Frozen:
    """The frozen file and its schema. Raises StepFailed when the backup is gone."""
    known = ctx.memory.find(Frozen)
    if known is not None:
        return known
    row = await ctx.journal.backup()
    if row is None or not Path(row["path"]).exists():
        raise StepFailed(
            "The run's backup is not there any more.",
            detail=row["path"] if row else "",
            hint="Put the file back, or start a new run with --new: a run can't go on with another file.",
            code="backup_missing",
        )
    frozen = await frozen_at(await _snapshot(ctx) or Path(row["path"]))
    ctx.memory.put(frozen)
    return frozen


async def frozen_at(path: Path) -> Frozen:
    """A file of ours with its schema."""
    return Frozen(path=path, schema=await asyncio.to_thread(_schema, path))


async def backup_schema(ctx: RunContext) -> SourceSchema:
    """The schema that the plan was made from: the tested backup's."""
    row = await ctx.journal.backup()
    assert row is not None
    return await asyncio.to_thread(_schema, Path(row["path"]))


async def _snapshot(ctx: RunContext) -> Path | None:
    """The second snapshot of a live or offline run, which the copy reads as long as it is there."""
    if ctx.config.mode is Mode.COPY or ctx.config.in_place:
        return None
    row = await ctx.journal.step_row("backfill.snapshot")
    path = Path(json.loads(row["evidence"] or "{}").get("path", "")) if row["state"] == StepState.DONE.value else None
    return path if path is not None and path.is_file() else None


def _schema(path: Path) -> SourceSchema:
    opened = open_frozen(path)
    try:
        return read_schema(opened)
    finally:
        opened.close()


async def plan_of(ctx: RunContext) -> Plan:
    """The run's plan. Raises StepFailed before it was made."""
    known = ctx.memory.find(Plan)
    if known is not None:
        return known
    plan = await ctx.journal.load_plan()
    if plan is None:
        raise StepFailed("The run has no plan yet.", code="missing_fact")
    ctx.memory.put(plan)
    return plan

"""Installs change capture in the source: from here on, every change is being recorded."""

from __future__ import annotations

import json
from dataclasses import replace

from stepflow_tui.engine.model.codec import from_plain, to_plain
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.live import CapturePlan, Installed
from stepflow_tui.engine.plan.capture import capture_plan
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.capture_state import identity, replaced
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import backup_schema, plan_of
from stepflow_tui.engine.steps.live.figures import keep_figures

STEP = "capture.install-capture"
_STEPS = {Mode.LIVE: STEP, Mode.OFFLINE: "cutover.hand-over"}
"""Whose evidence says what was installed."""


class InstallCapture(PlainStep):
    """The key-log triggers, in one transaction of the source. Undoing it leaves no trace of it."""

    name = "install-capture"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Install, or find what an engine before this one installed."""
        plan = await capture_plan_of(ctx)
        installed = await capture.install(real_path(ctx.config.source.path), plan, ctx.run_id)
        ctx.memory.put(installed)
        await ctx.journal.event("capture_installed", {"tables": len(plan.tables), "triggers": len(plan.triggers)})
        await keep_figures(ctx)
        return {"tables": len(plan.tables), "triggers": len(plan.triggers), "installed": to_plain(installed)}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Remove triggers, log and control row; the source's catalog is what it was."""
        await ctx.services.stop()
        await capture.uninstall(real_path(ctx.config.source.path), ctx.run_id)
        await ctx.journal.forget_gauges("lag", "wal", "live", "switch")
        return {"capture": "removed"}


async def capture_plan_of(ctx: RunContext) -> CapturePlan:
    """The triggers of the run, made from the schema that the plan was made from."""
    known = ctx.memory.find(CapturePlan)
    if known is not None:
        return known
    tables = tuple(t for t in (await plan_of(ctx)).tables if t.impossible is None and t.live_key)
    made = capture_plan(await backup_schema(ctx), tables)
    ctx.memory.put(made)
    return made


async def installed_of(ctx: RunContext) -> Installed:
    """What the capture step left in the source, after a restart too. The file is the one of then, by its inode: what a file
    that was put in its place holds is not believed. (A device may have another number after the machine was restarted.)

    Raises:
        Drift: `capture_file_replaced`.
    """
    known = ctx.memory.find(Installed)
    if known is None:
        row = await ctx.journal.step_row(_STEPS[ctx.config.mode])
        known = from_plain(Installed, json.loads(row["evidence"])["installed"])
        path = real_path(ctx.config.source.path)
        device, inode = identity(path)
        if inode != known.inode:
            raise replaced(path, f"inode {known.inode} when capture was installed, {inode} now")
        known = replace(known, device=device)
        ctx.memory.put(known)
    return known

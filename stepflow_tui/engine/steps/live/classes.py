"""Keeps the storage class of values whose column in the target does not tell it: the way back restores it."""

from __future__ import annotations

from stepflow_tui.engine.live.tail_classes import keep_classes
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import frozen_of, plan_of
from stepflow_tui.engine.steps.live.tailing import tail_job


class NoteClasses(PlainStep):
    """Looks through the snapshot that was copied, before the tail changes anything."""

    name = "storage-classes"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Note them; repeating it replaces what was noted."""
        frozen, plan = await frozen_of(ctx), await plan_of(ctx)
        return {"values": await keep_classes(await tail_job(ctx), frozen.path, plan.facts)}

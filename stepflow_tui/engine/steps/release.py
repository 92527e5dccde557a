"""Leaves the target: audit anchor into the journal, control schema dropped, embedded server kept for its user."""

from __future__ import annotations

from stepflow_tui.engine.postgres import control
from stepflow_tui.engine.postgres.embedded import Embedded
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection


class ReleaseTarget(PlainStep):
    """The last step of `mode: copy`: nothing of StepFlow is left in the target. Rollback goes by the journal's digests."""

    name = "release-target"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Drop the control schema; an embedded server that now holds somebody's data is pinned."""
        async with connection(ctx) as conn:
            await control.flush_commits(conn)
            await control.drop_control_schema(conn)
        if ctx.config.target.embedded:
            embedded = Embedded(ctx.state_dir)
            await embedded.start()
            await embedded.pin()
            await embedded.release()
        return {"control_schema": "dropped"}

"""A run goes on, and back, only by the config it was started with: another one would name other databases."""

from __future__ import annotations

import json

from stepflow_tui.engine.config import changed_keys
from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.steps.context import RunContext

ON_HINT = "Put the old values back to go on, or start a new run with --new."
BACK_HINT = "Put the old values back, then try again: nothing was taken back, and what the run made is still there."


async def refuse_other_config(ctx: RunContext, hint: str) -> None:
    """Compare what decides where rows come from and go to, and as what.

    A config that the run itself kept for its way back is the one it was started with.

    Raises:
        Drift: `config_changed`; the detail names the keys.
    """
    if ctx.loaded.kept:
        return
    run = await ctx.journal.run_row()
    assert run is not None
    known = json.loads(run["config"])
    keys = [
        *changed_keys(known["relevant"], ctx.loaded.plan_relevant),
        *changed_keys(known["sides"], ctx.loaded.sides),
    ]
    if keys:
        raise Drift(
            "The config changed since this run was started.", detail=", ".join(keys), hint=hint, code="config_changed"
        )

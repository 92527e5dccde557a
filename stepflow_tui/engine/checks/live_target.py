"""Would tables made beforehand act on rows that are deleted and inserted again? That is how changes are applied."""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, info
from stepflow_tui.engine.postgres.existing import ExistingTable

_FIRING = "OA"
"""Triggers that fire in an ordinary session; disabled and replica ones don't."""
_ACTING = "cnd"
"""ON DELETE CASCADE, SET NULL, SET DEFAULT."""


async def run(ctx: CheckContext) -> list[Finding]:
    """A trigger blocks, and so does a table of several parts: gate and log stand on one name, writes come by others. Foreign keys are taken off until the cutover; those that would act are named."""
    view = ctx.target
    if view is None or view.error is not None or not view.wanted.existing:
        return []
    schema = view.target.schema
    found = []
    for table in view.mapped:
        if table.partitioned:
            found.append(blocking("live_target_partitioned", f"{schema}.{table.name}"))
        firing = [t.name for t in table.triggers if t.enabled in _FIRING]
        if firing:
            found.append(blocking("live_target_triggers", f"{schema}.{table.name}", names=", ".join(firing)))
    mapped = frozenset(f"{schema}.{t.name}" for t in view.mapped)
    acting = [f"{t.name}.{name}" for t in view.tables for name in _acting(t, mapped)]
    if acting:
        found.append(info("live_target_cascades", schema, count=len(acting), names=", ".join(acting)))
    return found


def _acting(table: ExistingTable, mapped: frozenset[str]) -> list[str]:
    """Keys that would change this table when a row of a mapped one is deleted."""
    return [c.name for c in table.constraints if c.type == "f" and c.on_delete in _ACTING and c.ref_table in mapped]

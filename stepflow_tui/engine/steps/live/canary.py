"""The canary: a row of ours that goes the way back and is deleted over it again, before the application depends on it."""

from __future__ import annotations

from stepflow_tui.engine.model.live import CANARY
from stepflow_tui.engine.model.plan import ColumnPlan, Compare, CompareKind, TablePlan, Walk, WalkKind
from stepflow_tui.engine.plan.declared import BIGINT, TEXT

TABLE = TablePlan(
    source=CANARY,
    schema="_stepflow",
    name="canary",
    columns=(
        ColumnPlan(source="id", target="id", declared="integer", type=BIGINT, not_null=True),
        ColumnPlan(source="token", target="token", declared="text", type=TEXT),
    ),
    walk=Walk(kind=WalkKind.ROWID, columns=("id",)),
    compare=Compare(kind=CompareKind.KEY, columns=("id",)),
    primary_key=("id",),
    rowid_alias="id",
    rowid_name="rowid",
    live_key=("id",),
)
"""Its plan: replicated as any other table is."""

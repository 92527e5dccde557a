"""Which tables of a live plan can't be captured, or not completely? Pure: asked when the plan is made, not in the preflight."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.model.plan import Plan, TableFacts, TablePlan
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.capture import reconcile_reason
from stepflow_tui.engine.plan.declared import parse
from stepflow_tui.engine.plan.estimates import MEGABYTE_SECONDS, ROW_MICROSECONDS


def live_table_findings(plan: Plan, schema: SourceSchema, config: Config) -> list[Finding]:
    """One finding per table whose changes triggers can't log, or not all of them.

    Where no trigger can log them, nothing can keep the table's changes out either: it always refuses the run. Where the log
    may miss a row, the table is compared as a whole while writes are fenced; that costs a freeze as long as the table, and
    takes a yes in the config beforehand (`capture.uncapturable: reconcile`).
    """
    if config.mode == Mode.COPY:
        return []
    wanted = [t for t in plan.tables if t.impossible is None]
    lost = [
        blocking("live_uncapturable", t.source, reason=t.uncapturable) for t in wanted if t.uncapturable is not None
    ]
    if config.mode == Mode.OFFLINE:
        return list(lost)  # nobody writes to SQLite before its fence stands: its log can't miss a row
    limited = [warning("live_decimals_limited", t.source, columns=found) for t in wanted if (found := _limited(t))]
    partly = [(t, why) for t in wanted if t.uncapturable is None and (why := _partly(t, schema)) is not None]
    return [*lost, *(_whole(t, why, plan, config) for t, why in partly), *limited]


def _limited(table: TablePlan) -> str:
    """Columns that became as narrow as they are declared, which SQLite doesn't enforce; a line under `types` is somebody's
    own decision."""
    found = [
        f"{c.source} {c.type.sql}"
        for c in table.columns
        if c.type.kind is Kind.DECIMAL and parse(c.declared).decimal == (c.type.precision, c.type.scale)
    ]
    return "" if table.existing else ", ".join(found)


def freeze_seconds(tables: Sequence[TableFacts]) -> float:
    """How long writes stand still while these tables are compared as a whole: the slow end of what was measured."""
    rows = sum(t.rows for t in tables)
    size = sum(t.rows * sum(c.mean_bytes for c in t.columns.values()) for t in tables)
    return rows * ROW_MICROSECONDS[1] / 1e6 + size / 1e6 * MEGABYTE_SECONDS[1]


def _partly(table: TablePlan, schema: SourceSchema) -> str | None:
    return reconcile_reason(schema.table(table.source), schema.triggers)


def _whole(table: TablePlan, reason: str, plan: Plan, config: Config) -> Finding:
    facts = plan.facts.get(table.source)
    accepted = config.capture.uncapturable == "reconcile"
    return (warning if accepted else blocking)(
        "live_reconciled" if accepted else "live_partly_captured",
        table.source,
        reason=reason,
        rows=facts.rows if facts is not None else None,
        seconds=round(freeze_seconds([facts]), 1) if facts is not None else None,
        allowed_seconds=config.cutover.max_freeze,
    )

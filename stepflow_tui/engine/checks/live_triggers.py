"""What triggers has the application? They are taken off while SQLite is fenced, and made again when it is not."""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, info
from stepflow_tui.engine.model.schema import SourceSchema, SourceTrigger
from stepflow_tui.engine.plan.sqltext.nodes import Select
from stepflow_tui.engine.plan.sqltext.objects import parse_trigger
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError

SHOWN = 20
"""Names listed in one finding."""


async def run(ctx: CheckContext) -> list[Finding]:
    """All of them, and those that write to their own table."""
    assert ctx.schema is not None
    own = _on_tables(ctx.schema)
    found = [info("live_app_triggers", ctx.source_text, count=len(own), names=_names(own))] if own else []
    recursive = [t for t in own if _writes_to_own_table(t)]
    if recursive:
        found.append(info("live_recursive_triggers", ctx.source_text, count=len(recursive), names=_names(recursive)))
    return found


def _on_tables(schema: SourceSchema) -> list[SourceTrigger]:
    tables = {t.name.lower() for t in schema.tables}
    return [t for t in schema.triggers if t.table.lower() in tables]


def _names(triggers: list[SourceTrigger]) -> str:
    return ", ".join(t.name for t in triggers[:SHOWN]) + (" …" if len(triggers) > SHOWN else "")


def _writes_to_own_table(trigger: SourceTrigger) -> bool:
    try:
        body = parse_trigger(trigger.sql).body
    except (SqlTextError, RecursionError):
        return False  # nothing is decided by it; the plan names triggers that can't be read
    return any(not isinstance(a, Select) and a.table.lower() == trigger.table.lower() for a in body)

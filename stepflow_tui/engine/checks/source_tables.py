"""Is there anything to migrate, and can every entry of the schema be understood?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.model.schema import TableKind
from stepflow_tui.engine.plan.virtual import only_answers


async def run(ctx: CheckContext) -> list[Finding]:
    """No tables, entries SQLite can't parse, tables no row of which can be read (that matters where rows are moved)."""
    assert ctx.schema is not None
    if ctx.config.in_place:
        problem = ctx.examined.schema_error
        return [blocking("wal_schema_entry", ctx.source_text, message=problem)] if problem else []
    found = []
    if not any(t.kind is not TableKind.SHADOW for t in ctx.schema.tables):
        found.append(warning("source_no_tables", ctx.source_text, path=ctx.source_text))
    if ctx.examined.schema_error:
        found.append(warning("source_schema_entry", ctx.source_text, message=ctx.examined.schema_error))
    found += [
        warning("source_table_unreadable", t.name, table=t.name, reason=t.unreadable)
        for t in ctx.schema.tables
        if t.unreadable and not only_answers(t)
    ]
    return found

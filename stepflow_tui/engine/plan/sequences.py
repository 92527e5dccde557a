"""Identity columns and their next value, computed from what is in the target then."""

from __future__ import annotations

from stepflow_tui.engine.model.live import ROWID_COLUMN
from stepflow_tui.engine.model.plan import ObjectType, Stage, TablePlan
from stepflow_tui.engine.model.schema import SourceTable
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident, pg_literal, pg_name


def add_sequence(table: TablePlan, source: SourceTable, parts: Parts) -> None:
    """The statement that sets the next value: beyond the largest key, and beyond what AUTOINCREMENT ever gave out.

    Keys below 1 don't count: PostgreSQL's sequences begin at 1, as SQLite's do.
    """
    column = next((c for c in table.columns if c.identity and c.target != ROWID_COLUMN), None)
    if column is None:
        return
    reason = (
        "AUTOINCREMENT as an identity column" if source.autoincrement else "the rowid's numbering as an identity column"
    )
    object_id = parts.object(
        ObjectType.SEQUENCE, f"{table.source}.{column.source}", table.source, carried=True, reason=reason
    )
    owner = pg_literal(pg_name(table.schema, table.name)).strip()
    name = pg_literal(column.target).strip()
    given = max(source.sequence or 0, 0)
    sql = (
        f"select setval(pg_get_serial_sequence({owner}, {name}), greatest(m, 1), m >= 1)"
        f" from (select greatest(coalesce(max({pg_ident(column.target)}), 0), {given}) as m"
        f" from {pg_name(table.schema, table.name)}) as keys"
    )
    parts.statement(Stage.SEQUENCE, table.source, sql, table=table.source, object_id=object_id)

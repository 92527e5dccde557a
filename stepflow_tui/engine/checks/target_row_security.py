"""Would a policy hide rows from us?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_row_security"


async def run(target: TargetView) -> list[Finding]:
    """Rows hidden by a policy would be counted as missing, or written and never seen."""
    if target.error is not None or target.bypass_rls:
        return []
    return [
        blocking(
            "target_row_security",
            f"{table.schema}.{table.name}",
            user=target.user,
            sql=f"ALTER TABLE {pg_name(table.schema, table.name)} DISABLE ROW LEVEL SECURITY;",
        )
        for table in target.mapped
        if table.row_security and (table.row_security_forced or table.owner != target.user)
    ]

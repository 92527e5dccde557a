"""Has the role every right the run needs?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking, info
from stepflow_tui.engine.postgres.create_target import missing_sql
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_rights"


async def run(target: TargetView) -> list[Finding]:
    """All missing rights in one finding, with the SQL that grants them."""
    if target.error is not None:
        return []
    sql = missing_sql(target.target, target)
    if sql:
        return [
            blocking("target_rights", target.target.describe(), user=target.user, count=len(sql), sql="\n".join(sql))
        ]
    if target.superuser and not target.target.is_local:
        return [info("target_superuser", target.target.describe(), user=target.user)]
    return []

"""Does the target answer, and which server is it?"""

from __future__ import annotations

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.finding import Finding, blocking, info
from stepflow_tui.engine.postgres.create_target import missing_sql
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_reachable"

WITH_SQL = frozenset({"password_refused", "database_missing"})
"""Causes that an administrator's SQL can cure."""


async def run(target: TargetView) -> list[Finding]:
    """The error that kept us out, or the server's identity, so that a wrong one is noticed."""
    if target.error is not None:
        return [_refused(target, target.error)]
    return [
        info(
            "target_identity",
            target.target.describe(),
            version=target.version,
            system_identifier=target.system_identifier,
            schema=target.target.schema,
        )
    ]


def _refused(target: TargetView, error: StepFlowError) -> Finding:
    code = error.code if error.code in WITH_SQL else "target_unreachable"
    return blocking(
        code,
        target.target.describe(),
        cause=error.code,
        message=error.message,
        detail=error.detail,
        hint=error.hint,
        sql="\n".join(missing_sql(target.target, error)),
    )

"""Does the source belong to another user? Side files that SQLite makes for us would then be ours, not the application's."""

from __future__ import annotations

import os
import pwd

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, warning


async def run(ctx: CheckContext) -> list[Finding]:
    """Root is no problem: SQLite gives the files it makes as root to the database's owner."""
    owner, user = ctx.examined.real.stat().st_uid, os.geteuid()
    if user in (0, owner):
        return []
    return [warning("live_other_owner", ctx.source_text, owner=_name(owner), user=_name(user))]


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

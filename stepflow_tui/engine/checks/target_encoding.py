"""Does the database store UTF-8?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.plan.quote import pg_ident
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_encoding"


async def run(target: TargetView) -> list[Finding]:
    """SQLite text is Unicode: any other encoding of the database loses characters or refuses rows."""
    if target.error is not None or target.encoding == "UTF8":
        return []
    sql = f"CREATE DATABASE {pg_ident(target.target.database + '_utf8')} TEMPLATE template0 ENCODING 'UTF8';"
    return [blocking("target_encoding", target.target.database, encoding=target.encoding, sql=sql)]

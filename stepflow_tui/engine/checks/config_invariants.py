"""Can the source answer the questions of `verify.invariants`?"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config import Invariant, Mode
from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.recover import Readable


async def run(ctx: CheckContext) -> list[Finding]:
    """Each is read by SQLite without being run. (PostgreSQL's half can't be asked before the tables are there.)"""
    assert ctx.readable is not None
    asked = ctx.config.verify.invariants
    if ctx.config.mode is not Mode.LIVE or not asked:
        return []
    problems = await asyncio.to_thread(_problems, ctx.readable, asked)
    return [
        blocking("config_invariant", f"verify.invariants.{name}", name=name, reason=reason)
        for name, reason in problems.items()
    ]


def _problems(source: Readable, asked: Sequence[Invariant]) -> dict[str, str]:
    found = {}
    with sqlite_errors("Reading the invariants"), closing(source.open()) as conn:
        for invariant in asked:
            try:
                conn.execute(f"explain {invariant.sqlite}").close()
            except (sqlite3.Error, sqlite3.Warning) as error:
                if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                    raise
                found[invariant.name] = str(error)
    return found

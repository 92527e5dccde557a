"""Does the source hold change capture already, and whose?"""

from __future__ import annotations

import asyncio
from contextlib import closing

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.model.live import OURS
from stepflow_tui.engine.sqlite.capture_state import read_control
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.recover import Readable

SHOWN = 20
"""Names listed in one finding."""

_NAMES = f"select name from sqlite_master where lower(substr(name, 1, {len(OURS)})) = ? order by name"


async def run(ctx: CheckContext) -> list[Finding]:
    """Capture of another run blocks: two of them would fence each other's writes. So do names that capture itself needs."""
    assert ctx.readable is not None
    names, owner = await asyncio.to_thread(_look, ctx.readable)
    if not names or (owner is not None and owner == ctx.run_id):
        return []
    listed = ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
    if owner is None:
        return [blocking("live_names_taken", ctx.source_text, count=len(names), names=listed)]
    return [blocking("live_leftover", ctx.source_text, run=owner, count=len(names), names=listed)]


def _look(source: Readable) -> tuple[list[str], str | None]:
    """Names that begin like ours, in any case (SQLite's names have none), and the run in the control row."""
    with sqlite_errors("Looking for leftovers of change capture"), closing(source.open()) as conn:
        names = [str(row[0]) for row in conn.execute(_NAMES, (OURS,))]
        control = read_control(conn) if names else None
    return names, control.run if control is not None else None

"""Does the file carry the change capture of a live migration to PostgreSQL, and which side owns its writes?"""

from __future__ import annotations

import asyncio
from contextlib import closing

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.checks.wal_layout import wanted_layout
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.sqlite.capture_state import Captured, captured
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.recover import Readable

SHOWN = 3
"""Names listed in one finding."""


async def run(ctx: CheckContext) -> list[Finding]:
    """Capture works in both modes, so it only warns; what would throw the live run back, or come too late, blocks."""
    assert ctx.readable is not None
    found = await asyncio.to_thread(_look, ctx.readable)
    if found is None:
        return []
    of = found.run or "?"
    if found.owner is Owner.POSTGRESQL:
        return [blocking("wal_captured_moved", ctx.source_text, run=of)]
    listed = ", ".join(found.names[:SHOWN]) + (", …" if len(found.names) > SHOWN else "")
    told = [warning("wal_captured", ctx.source_text, run=of, names=listed, count=len(found.names))]
    if wanted := await wanted_layout(ctx):
        told.append(blocking("wal_captured_layout", ctx.source_text, run=of, wanted=wanted))
    return told


def _look(source: Readable) -> Captured | None:
    with sqlite_errors("Looking for change capture"), closing(source.open()) as conn:
        return captured(conn)

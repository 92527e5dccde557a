"""Does a mark say that the application of this file writes to PostgreSQL since an earlier run?"""

from __future__ import annotations

import asyncio

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.mark import mark_of, read_mark


async def run(ctx: CheckContext) -> list[Finding]:
    """Such a file is nothing to move or to convert. A copy of it disturbs nobody, but may be of old rows."""
    path = ctx.examined.real
    found = warning if ctx.config.mode is Mode.COPY else blocking
    try:
        mark = await asyncio.to_thread(read_mark, path)
    except (OSError, ValueError) as error:
        return [found("source_mark_unreadable", ctx.source_text, mark=shown(mark_of(path)), detail=str(error))]
    if mark is None or mark.run == ctx.run_id:
        return []
    return [found("source_migrated", ctx.source_text, run=mark.run, mark=shown(mark_of(path)))]

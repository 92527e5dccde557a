"""Is another page size or auto_vacuum wanted? Both need a VACUUM, and both have to come before WAL mode."""

from __future__ import annotations

import shutil

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, info, warning
from stepflow_tui.engine.model.schema import SourceSchema, TableKind
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.mode import ModeFacts, read_mode

SHOWN = 20
"""Tables that one finding lists."""


async def run(ctx: CheckContext) -> list[Finding]:
    """Whether it can be done, what it changes, and the room it takes."""
    assert ctx.schema is not None
    wanted = await wanted_layout(ctx)
    if not wanted:
        return []
    if ctx.examined.wal:
        return [blocking("wal_layout_late", ctx.source_text, wanted=wanted)]
    return [info("wal_layout", ctx.source_text, wanted=wanted), *_renumbered(ctx, ctx.schema), *_room(ctx)]


async def wanted_layout(ctx: CheckContext) -> str:
    """`page_size 8192 (now 4096), auto_vacuum full (now none)`; what is there already is not wanted."""
    if ctx.config.wal.page_size is None and ctx.config.wal.auto_vacuum is None:
        return ""
    return _wanted(ctx, await read_mode(ctx.examined.real))


def _wanted(ctx: CheckContext, now: ModeFacts) -> str:
    wal, found = ctx.config.wal, []
    if wal.page_size is not None and wal.page_size != now.page_size:
        found.append(f"page_size {wal.page_size} (now {now.page_size})")
    if wal.auto_vacuum is not None and wal.auto_vacuum.value != now.auto_vacuum:
        found.append(f"auto_vacuum {wal.auto_vacuum.value} (now {now.auto_vacuum})")
    return ", ".join(found)


def _renumbered(ctx: CheckContext, schema: SourceSchema) -> list[Finding]:
    """VACUUM may give new rowids to the rows of tables that have no INTEGER PRIMARY KEY."""
    names = [
        t.name for t in schema.tables if t.kind is TableKind.ORDINARY and not t.without_rowid and t.rowid_alias is None
    ]
    if not names:
        return []
    listed = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return [warning("wal_vacuum_rowids", ctx.source_text, count=len(names), names=listed)]


def _room(ctx: CheckContext) -> list[Finding]:
    """VACUUM writes a second database and a journal of the same size."""
    folder = ctx.examined.real.parent
    needed, free = 2 * ctx.examined.size, shutil.disk_usage(folder).free
    if free >= needed:
        return []
    return [blocking("wal_vacuum_room", shown(folder), needed_bytes=needed, free_bytes=free)]

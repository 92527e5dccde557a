"""Does everybody see the database under one name, on a disk that stays? Side files are named after the name that is used."""

from __future__ import annotations

import asyncio

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.sqlite.holders import PROC
from stepflow_tui.engine.sqlite.mounts import other_mounts


async def run(ctx: CheckContext) -> list[Finding]:
    """The file mounted by itself somewhere else, here or as a process that holds it sees it; a container's own layer."""
    found = []
    if points := await asyncio.to_thread(_elsewhere, ctx):
        found.append(blocking("wal_file_mount", ctx.source_text, places=", ".join(points)))
    where = ctx.examined.filesystem
    if where.layered:
        found.append(warning("wal_overlay", ctx.source_text, filesystem=where.kind, mount_point=where.mount_point))
    return found


def _elsewhere(ctx: CheckContext) -> list[str]:
    real = ctx.examined.real
    found = list(other_mounts(real))
    for holder in ctx.holders.processes:
        folder = PROC / str(holder.pid)
        points = other_mounts(real, mountinfo=folder / "mountinfo", root=folder / "root")
        found += [f"{p} (pid {holder.pid})" for p in points if p not in found and p != str(real)]
    return found

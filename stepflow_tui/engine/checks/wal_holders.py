"""Who has the database open, how, and who would never let a conversion through?"""

from __future__ import annotations

import asyncio

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, info
from stepflow_tui.engine.sqlite.file_locks import exclusive_holders, locks_on
from stepflow_tui.engine.sqlite.holders import Holder
from stepflow_tui.engine.sqlite.processes import process_of

SHOWN = 20
"""Processes that one finding lists."""
_MODES = {True: "read-write", False: "read-only", None: "open mode not known"}


async def run(ctx: CheckContext) -> list[Finding]:
    """The application goes on, so holders are expected; one in `locking_mode=EXCLUSIVE` lets nobody in, ever."""
    holders = ctx.holders
    if not holders.known:
        return [info("wal_holders_unknown", ctx.source_text)]
    found: list[Finding] = []
    if holders.processes:
        listed = await asyncio.to_thread(_listed, ctx)
        found.append(info("wal_holders", ctx.source_text, count=len(holders.processes), holders=listed))
    exclusive = await exclusive_holders(ctx.examined.real)
    if exclusive:
        found.append(blocking("wal_exclusive", ctx.source_text, holders=", ".join(lock.holder for lock in exclusive)))
    if not holders.complete:
        found.append(info("wal_holders_incomplete", ctx.source_text))
    return found


def _listed(ctx: CheckContext) -> str:
    locks = {lock.pid: lock.what for lock in locks_on(ctx.examined.real) or ()}
    shown = [_one(ctx, h, locks.get(h.pid, "")) for h in ctx.holders.processes[:SHOWN]]
    left = len(ctx.holders.processes) - len(shown)
    return ", ".join(shown) + (f", and {left} more" if left else "")


def _one(ctx: CheckContext, holder: Holder, lock: str) -> str:
    process = process_of(holder.pid)
    mode = _MODES[process.writes(ctx.examined.real) if process is not None else None]
    return f"pid {holder.pid} ({holder.command}; {mode}{f'; now {lock}' if lock else ''})"

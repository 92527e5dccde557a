"""Who has the database open, how, and who would never let a conversion through?"""

from __future__ import annotations

import asyncio

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, info
from stepflow_tui.engine.sqlite.examine import SourceState
from stepflow_tui.engine.sqlite.file_locks import exclusive_holders, locks_on
from stepflow_tui.engine.sqlite.holders import Holder
from stepflow_tui.engine.sqlite.processes import process_of

SHOWN = 20
"""Processes that one finding lists."""
LOOKS, EVERY_SECONDS = 150, 0.02
"""In all of these looks the same process must hold the file exclusively: a busy writer lets go between two commits."""
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
    found += await _exclusive(ctx)
    if not holders.complete:
        found.append(info("wal_holders_incomplete", ctx.source_text))
    return found


async def _exclusive(ctx: CheckContext) -> list[Finding]:
    """Only where nobody could read for seconds."""
    if ctx.examined.state is not SourceState.LOCKED:
        return []
    held = await exclusive_holders(ctx.examined.real, looks=LOOKS, every=EVERY_SECONDS)
    return [blocking("wal_exclusive", ctx.source_text, holders=", ".join(lock.holder for lock in held))] if held else []


def _listed(ctx: CheckContext) -> str:
    locks = {lock.pid: lock.what for lock in locks_on(ctx.examined.real) or ()}
    shown = [_one(ctx, h, locks.get(h.pid, "")) for h in ctx.holders.processes[:SHOWN]]
    left = len(ctx.holders.processes) - len(shown)
    return ", ".join(shown) + (f", and {left} more" if left else "")


def _one(ctx: CheckContext, holder: Holder, lock: str) -> str:
    process = process_of(holder.pid)
    mode = _MODES[process.writes(ctx.examined.real) if process is not None else None]
    return f"pid {holder.pid} ({holder.command}; {mode}{f'; now {lock}' if lock else ''})"

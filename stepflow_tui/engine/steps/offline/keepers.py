"""Who else has the source open while it is locked: named by pid and program, since they ignore the stop."""

from __future__ import annotations

import os
from collections.abc import Iterable

import psutil

from stepflow_tui.engine.model.alert import Alert
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.finding import info
from stepflow_tui.engine.sqlite.connect import real_path, shown
from stepflow_tui.engine.sqlite.holders import Holder, find_holders
from stepflow_tui.engine.steps.context import RunContext

SERVICE = "keepers"
STAGE = "write-lock"
ALERT = "writer_locked_out"
LOOK_SECONDS = 1.0


async def others(ctx: RunContext) -> tuple[Holder, ...]:
    """Processes that are not this engine's own."""
    found = await find_holders(real_path(ctx.config.source.path))
    ours = _family()
    return tuple(h for h in found.processes if h.pid not in ours)


def named(holders: Iterable[Holder]) -> str:
    """`pid 12 (python3 app.py), pid 40 (sqlite3)`; "unknown processes" where the system lists none."""
    return ", ".join(f"pid {h.pid} ({h.command})" for h in holders) or "unknown processes"


async def name_keepers(ctx: RunContext) -> None:
    """Look until cancelled; each process is told once, and its alert ends when it has let go of the file."""
    told: dict[int, Holder] = {}
    standing: set[int] = set()
    while True:
        now = {h.pid: h for h in await others(ctx)}
        for pid, holder in now.items():
            if pid not in told:
                told[pid] = holder
                await _tell(ctx, holder, told)
        for pid in standing - now.keys():
            await ctx.journal.resolve_alert(ALERT, str(pid))
        standing = set(now)
        await ctx.clock.sleep(LOOK_SECONDS)


async def hush(ctx: RunContext) -> None:
    """The lock is given back: nobody is locked out any more."""
    await ctx.services.stop(SERVICE)
    for row in await ctx.journal.fetch("SELECT key FROM alert WHERE code=? AND cleared_seq IS NULL", (ALERT,)):
        await ctx.journal.resolve_alert(ALERT, row["key"])


async def _tell(ctx: RunContext, holder: Holder, told: dict[int, Holder]) -> None:
    name = shown(ctx.config.source.path)
    program = ctx.journal.clean(holder.command)
    found = [info("offline_locked_out", name, pid=h.pid, program=ctx.journal.clean(h.command)) for h in told.values()]
    await ctx.journal.set_findings(STAGE, found)
    await ctx.journal.event("offline_locked_out", {"pid": holder.pid, "program": program}, level=Level.WARNING)
    await ctx.journal.raise_alert(
        Alert(code=ALERT, key=str(holder.pid), params={"pid": holder.pid, "program": program})
    )


def _family() -> frozenset[int]:
    """This process and what it started."""
    own = psutil.Process()
    return frozenset({os.getpid(), *(child.pid for child in own.children(recursive=True))})

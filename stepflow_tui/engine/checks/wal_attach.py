"""Does a process that writes have several databases open? One transaction over several of them is not atomic in WAL mode."""

from __future__ import annotations

import asyncio

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.finding import Finding, warning
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import SUFFIXES
from stepflow_tui.engine.sqlite.holders import PROC
from stepflow_tui.engine.sqlite.processes import OpenFile, Process, process_of

CANDIDATES = 32
"""Files of one process whose beginning is looked at."""
_MAGIC = b"SQLite format 3\x00"


async def run(ctx: CheckContext) -> list[Finding]:
    """Found by descriptors: whether it attaches them to one connection can't be seen from outside, so it is asked."""
    found = []
    for holder in ctx.holders.processes:
        process = await asyncio.to_thread(process_of, holder.pid)
        if process is None or not process.writes(ctx.examined.real):
            continue
        others = [f.path for f in _candidates(ctx, process) if await _is_database(process.pid, f)]
        if others:
            holds = f"pid {process.pid} ({process.command})"
            found.append(warning("wal_attach", ctx.source_text, holder=holds, others=", ".join(others)))
    return found


def _candidates(ctx: CheckContext, process: Process) -> list[OpenFile]:
    own = ctx.examined.real.stat()
    seen = {(own.st_dev, own.st_ino)}
    found = []
    for file in process.files:
        if file.writes and file.identity not in seen and not file.path.endswith(SUFFIXES):
            seen.add(file.identity)
            found.append(file)
    return found[:CANDIDATES]


async def _is_database(pid: int, file: OpenFile) -> bool:
    """By its first bytes, read in a process that holds no connection to anything."""
    path = PROC / str(pid) / "fd" / str(file.number)
    try:
        facts = await run_child(
            "stepflow_tui.engine.sqlite.probe_child", {"op": "examine", "path": path_text(path), "raw_only": True}
        )
    except StepFlowError:
        return False  # closed meanwhile: it is no longer open together with the source
    return bytes.fromhex(facts.get("header", "")).startswith(_MAGIC)

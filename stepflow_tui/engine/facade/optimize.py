"""`stepflow optimize`: statistics and a checkpoint of a SQLite source outside a run, beside a living application."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.checks.source_file import unreadable
from stepflow_tui.engine.errors import ExitCode, Held, Refused
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.examine import Examined, SourceState, examine
from stepflow_tui.engine.sqlite.holders import Holders, find_holders
from stepflow_tui.engine.sqlite.lock import lock_source
from stepflow_tui.engine.sqlite.optimize_child import LOCKED
from stepflow_tui.engine.sqlite.wal_sampler import WalSampler
from stepflow_tui.engine.texts import render

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig

WHOLE_BYTES = 64 << 20
"""Up to this size indexes are read whole."""
LIMIT_ROWS = 1_000
"""Of an index of a larger file; SQLite advises 100 to 1,000."""
LOOK_MS = 1_000
"""For which an exclusive lock is waited for when the file is looked at."""
WAIT_SECONDS = 5.0
"""For one lock."""
HOLD_SECONDS = 2.0
"""For which one table may keep writers waiting while others have the file open."""
ALONE_SECONDS = 600.0

_CHILD = "stepflow_tui.engine.sqlite.optimize_child"


async def optimize(loaded: LoadedConfig, state: Path) -> dict[str, Any]:
    """ANALYZE, `PRAGMA optimize` and one checkpoint of the config's SQLite file; of PostgreSQL nothing is touched.

    Args:
        state: the state directory; a run that works on this file keeps us out.

    Returns:
        path analyzed[…] left_out[{table reason}] limit optimized statistics checkpoint seconds holders holders_known
        exit_code: 0, or 7 where others held the lock so long that something was left out.

    Raises:
        Refused: `source_*` it can't be read or written, `postgres_owns_writes`, `source_captured`.
        Held: `source_held` by a run; `source_busy`: nothing could be done, the holders are named.
    """
    examined = await examine(loaded.config.source.path, busy_timeout_ms=LOOK_MS)
    holders = await find_holders(examined.real)
    refuse_unwritable(examined, holders)
    assert examined.fingerprint is not None
    folder = StateDir.open(state, os.environ).path
    lock = lock_source(folder, examined.fingerprint.dev, examined.fingerprint.inode, "stepflow optimize")
    began = time.monotonic()
    try:
        done = await run_child(_CHILD, _request(examined, holders))
    finally:
        lock.release()
    seconds = round(time.monotonic() - began, 3)
    return await _told(examined, holders, done, seconds)


def _request(examined: Examined, holders: Holders) -> dict[str, Any]:
    alone = holders.known and holders.complete and not holders.processes
    return {
        "path": path_text(examined.real),
        "limit": 0 if examined.size <= WHOLE_BYTES else LIMIT_ROWS,
        "wait": WAIT_SECONDS,
        "hold": ALONE_SECONDS if alone else HOLD_SECONDS,
    }


async def _told(examined: Examined, holders: Holders, done: dict[str, Any], seconds: float) -> dict[str, Any]:
    locked = [row["table"] for row in done["left_out"] if row["reason"] == LOCKED]
    checkpoint = done["checkpoint"]
    undone = checkpoint is None or not checkpoint["done"]
    if locked and not done["analyzed"] and undone:
        raise Held(
            f"{shown(examined.real)} stayed locked: nothing was done.",
            detail=f"waited {WAIT_SECONDS:g} s; open in {holders.text or 'a process that could not be found'}",
            hint="Wait until their transaction has ended, then try again.",
            code="source_busy",
        )
    if checkpoint is not None:
        checkpoint["pinned_by"] = [] if checkpoint["complete"] else await _pinned(examined.real)
    return {
        "path": shown(examined.real),
        **done,
        "limit": 0 if examined.size <= WHOLE_BYTES else LIMIT_ROWS,
        "seconds": seconds,
        "holders": [{"pid": h.pid, "command": h.command} for h in holders.processes],
        "holders_known": holders.known and holders.complete,
        "exit_code": int(ExitCode.HELD if locked else ExitCode.OK),
    }


async def _pinned(path: Path) -> list[dict[str, Any]] | None:
    """Who keeps frames from being checkpointed; None where this system does not tell."""
    sampler = WalSampler()
    await sampler.start(path)
    try:
        pins = (await sampler.sample()).pinned_by
    finally:
        await sampler.close()
    return None if pins is None else [{"pid": p.pid, "command": p.command} for p in pins]


def refuse_unwritable(examined: Examined, holders: Holders) -> None:
    """Whatever can't be written safely.

    Raises:
        Refused: `source_*`.
    """
    named = shown(examined.path)
    if examined.state is SourceState.EMPTY:
        raise Refused(f"{named} has zero bytes: there is nothing to optimize.", code="source_empty")
    if examined.state is SourceState.HOT_JOURNAL:
        raise Refused(
            f"A crash left a journal beside {named}.",
            detail=f"{examined.journal_bytes} bytes: its last transaction was not finished",
            hint="Open the database once with the application, which takes that transaction back; then optimize.",
            code="source_hot_journal",
        )
    if not examined.readable:
        finding = unreadable(examined, holders, named)
        words = render(finding)
        raise Refused(words.what, detail=words.why, hint=words.fix, code=finding.code)
    for place in (examined.real, examined.real.parent):
        if not os.access(place, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise Refused(
                f"{shown(place)} can't be written by this user.",
                detail="SQLite writes statistics into the file and its journal beside it",
                hint="Run it as the application's user.",
                code="source_read_only",
            )

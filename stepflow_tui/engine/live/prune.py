"""Keeps the source's change log small: drops what the target has held for long enough, and says when there is no room left."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.postgres import progress
from stepflow_tui.engine.sqlite.capture import measure, prune

NEARLY_FULL = 0.8
"""Share of the budget from which the operator is alerted."""


class Room(StrEnum):
    """What the size of the log asks for."""

    ENOUGH = "enough"  # nothing
    NEARLY_FULL = "log_nearly_full"  # an alert
    FULL = "log_full"  # capture has to be stopped, loudly: the tables must be copied again afterwards


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRoom:
    """The log as it is: `rows` entries, about `bytes` large, of the `budget_bytes` it may have."""

    rows: int
    bytes: int
    budget_bytes: int

    @property
    def share(self) -> float:
        """Of the budget."""
        return self.bytes / self.budget_bytes

    @property
    def room(self) -> Room:
        """What to do."""
        if self.share >= 1:
            return Room.FULL
        return Room.NEARLY_FULL if self.share >= NEARLY_FULL else Room.ENOUGH


async def room_of(source: Path, budget_bytes: int) -> LogRoom:
    """Measure the log. Needs no target: a log grows most while nothing can be applied.

    Raises:
        StepFlowError: the file can't be read, or holds no log.
    """
    size = await measure(source)
    return LogRoom(rows=size.rows, bytes=size.bytes, budget_bytes=budget_bytes)


async def prune_log(job: TailJob) -> int:
    """Drop the log entries that were applied longer than `keep_seconds` ago. Returns how many.

    The entry of the watermark itself always stays. Entries of quarantined rows stay, and all after them: their keys are
    read from there when they are tried again. A log without any entry could begin to count anew: a statement that ends
    halfway (`INSERT OR FAIL`) leaves entries behind that SQLite's own counter does not know.

    Raises:
        StepFlowError: by cause; nothing is lost, the next call goes on.
    """
    conn = await job.target.connect()
    try:
        keep_from = await progress.prunable(conn, job.run, keep_seconds=job.keep_seconds)
        if keep_from is None:
            return 0
        pruned = await prune(job.source, keep_from)
        await progress.forget_marks(conn, job.run, keep_from)
        return pruned
    finally:
        conn.terminate()

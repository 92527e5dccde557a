"""How far the new side is behind, by the switch's own look at both: a tail that stands still (paused, stuck) says nothing
new, and what it said last must not keep reads on a side that nobody keeps current."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from stepflow_tui.engine.live.lag import LagMeter
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.live import Lag
from stepflow_tui.engine.postgres import progress
from stepflow_tui.engine.sqlite.capture_state import newest
from stepflow_tui.engine.sqlite.connect import open_living

if TYPE_CHECKING:
    import asyncpg

BUSY_MS = 50


class Staleness:
    """Compares the newest log entry with the watermark, once a round.

    Args:
        source: the real path of the source. run: whose watermark.
        clock: time.
    """

    def __init__(self, source: Path, run: str, clock: Clock) -> None:
        self._source, self._run = source, run
        self._meter = LagMeter(clock)

    async def look(self, conn: asyncpg.Connection) -> Lag | None:
        """The lag; None before a tail has ever run.

        Raises:
            StepFlowError: PostgreSQL can't be asked.
        """
        seen = await asyncio.to_thread(self._newest)
        done = await progress.read(conn, self._run)
        if done is None:
            return None
        if seen is not None:
            self._meter.saw(seen)
        self._meter.applied(done.w)
        return self._meter.lag

    def _newest(self) -> int | None:
        """None while the application has the file for itself: nobody else writes then either."""
        try:
            with closing(open_living(self._source, busy_timeout_ms=BUSY_MS)) as conn:
                return newest(conn)
        except sqlite3.Error:
            return None

"""Asks a living SQLite file one question for reading, and never for longer than it is told."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import closing
from typing import Any

from stepflow_tui.engine.sqlite.connect import open_living

_STEPS = 1_000
"""Instructions of SQLite's virtual machine between two looks at the clock."""


async def first_value(path: str | os.PathLike[str], statement: str, *, seconds: float) -> Any:
    """The first value of a statement's first row; None where there is none.

    Raises:
        sqlite3.Error: the file can't be read, the statement is wrong or writes, or the time is over.
    """
    return await asyncio.to_thread(_first_value, path, statement, time.monotonic() + seconds)


def _first_value(path: str | os.PathLike[str], statement: str, deadline: float) -> Any:
    left = max(0, int(1000 * (deadline - time.monotonic())))
    with closing(open_living(path, busy_timeout_ms=left)) as conn:
        conn.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        row = conn.execute(statement).fetchone()
    return row[0] if row else None

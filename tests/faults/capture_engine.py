"""A process that installs or removes capture, for tests that kill it: `python -m tests.faults.capture_engine FILE WHAT KILL_AT`.

It kills itself with SIGKILL as the KILL_ATth statement that writes begins (0: never).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from pathlib import Path

from stepflow_tui.engine.sqlite import capture, capture_write
from tests.capture_kit import RUN, plan

WRITING = ("begin", "create", "insert", "update", "drop", "pragma writable", "pragma schema_version =", "commit")


async def main(path: Path, what: str, kill_at: int) -> None:
    """`install` or `uninstall`."""
    seen = 0

    def count(statement: str) -> None:
        nonlocal seen
        seen += statement.lower().startswith(WRITING)
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def opened(file: Path) -> sqlite3.Connection:
        conn = capture.open_application(file)
        conn.set_trace_callback(count)
        return conn

    capture_write.open_application = opened  # type: ignore[assignment]
    if what == "install":
        await capture.install(path, plan(path), RUN)
    else:
        await capture.uninstall(path, RUN)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))

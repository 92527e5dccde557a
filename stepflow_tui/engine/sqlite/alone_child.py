"""The child process that keeps everybody out of a database for a moment, so that its files can be moved.

A database in WAL mode goes back to a rollback journal first: SQLite does that only where nobody else is connected, and whoever
connects afterwards is refused by SQLite when it writes into a file that has been moved. In WAL mode it would not be.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

from stepflow_tui.engine.sqlite.connect import open_converting
from stepflow_tui.engine.sqlite.conversation import answer_all
from stepflow_tui.engine.sqlite.serving import text_path

_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
_REST_SECONDS = 0.02
_held: list[sqlite3.Connection] = []
"""The connection that keeps others out; its lock ends with this process."""


def answer(request: dict[str, Any]) -> dict[str, str]:
    """Keep others out: `state` is held, busy (somebody is connected or at work) or unreadable, with SQLite's words in `text`."""
    path, deadline = text_path(request["path"]), time.monotonic() + float(request["wait"])
    while True:
        state, text = _attempt(path)
        if state != "busy" or time.monotonic() > deadline:
            return {"state": state, "text": text}
        time.sleep(_REST_SECONDS)


def _attempt(path: Path) -> tuple[str, str]:
    conn: sqlite3.Connection | None = None
    try:
        conn = open_converting(path, busy_timeout_ms=0)
        conn.execute("PRAGMA journal_mode=DELETE").fetchone()
        conn.execute("BEGIN EXCLUSIVE")
        if conn.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            _held.append(conn)
            return "held", ""
        conn.close()
        return "busy", "it was put into WAL mode again"
    except sqlite3.Error as error:
        if conn is not None:
            conn.close()
        name = getattr(error, "sqlite_errorname", None) or type(error).__name__
        return ("busy" if name.startswith(_BUSY) else "unreadable"), f"{error} ({name})"


if __name__ == "__main__":
    answer_all(answer, interrupt=lambda: None)

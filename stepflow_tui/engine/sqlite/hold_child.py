"""The holder of the write lock: a process with one connection, whose open transaction keeps every writer out.

Its lock ends with it, and it ends with whoever started it. It never opens the file but through that connection: closing
any other descriptor of it would drop the lock.
"""

from __future__ import annotations

import json
import os
import queue
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.codec import from_plain, to_plain
from stepflow_tui.engine.model.live import CapturePlan, Owner
from stepflow_tui.engine.sqlite.applying import begin, commit, open_applying, rollback
from stepflow_tui.engine.sqlite.capture import install_within
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.fence import fence_within
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.serving import text_path

Request = dict[str, Any]


def main() -> NoReturn:
    """Take the lock, hold it, and hand it over or give it back when told so."""
    os.umask(0o077)
    asked: queue.Queue[Request] = queue.Queue()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    try:
        _hold(asked)
    except StepFlowError as error:
        _say({"error": [type(error).__name__, error.message, error.detail, error.hint, error.code]})
    os._exit(0)


def _listen(asked: queue.Queue[Request]) -> None:
    """The end of the pipe is the end of the engine: an open transaction is rolled back by the next who opens the file."""
    for line in sys.stdin.buffer:
        asked.put(json.loads(line))
    os._exit(1)


def _hold(asked: queue.Queue[Request]) -> None:
    request = asked.get()
    path = text_path(request["path"])
    with sqlite_errors(f"The write lock of {shown(path)}"), closing(open_applying(path)) as conn:
        conn.text_factory = str
        begin(conn, path, float(request["wait"]))
        try:
            _say({"result": {"pid": os.getpid()}})
            order = asked.get()
            if order["op"] == "hand_over":
                _say({"result": _hand_over(conn, path, order)})
        finally:
            rollback(conn)
    _say({"result": {}})


def _hand_over(conn: sqlite3.Connection, path: Path, order: Request) -> Request:
    """Capture and fence in the very transaction that kept writers out: its commit is the moment the lock ends."""
    plan: CapturePlan = from_plain(CapturePlan, order["plan"])
    installed = install_within(conn, plan, order["run"], path)
    facts = fence_within(conn, path, tuple(t.source for t in plan.tables), Owner.SQLITE)
    commit(conn, path, float(order["wait"]))
    return {"installed": to_plain(installed), "log_max": facts.log_max, "schema_version": facts.schema_version}


def _say(message: Request) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

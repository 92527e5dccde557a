"""The child process that checks the inside of a living database: on a copy, made in one short read.

Whoever asks decides whether the one read that copies the file may last as long as it does.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from stepflow_tui.engine.sqlite.connect import open_frozen, open_living
from stepflow_tui.engine.sqlite.integrity import check_integrity
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

BUSY_MS = 1_000


def handle(request: dict[str, Any], emit: Emit) -> Any:
    """Copy `path` to `copy`, and answer `{lines, problem}`: the damage that `integrity_check` finds, [] for none, and why it could
    not look, "" when it did. (`quick_check` is no quicker way: some versions of SQLite see NULL in keys WITHOUT ROWID.)"""
    path, copy = text_path(request["path"]), text_path(request["copy"])
    try:
        with (
            closing(open_living(path, immutable=request["immutable"], busy_timeout_ms=BUSY_MS)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.execute("begin").fetchall()
            source.execute(
                "select count(*) from sqlite_schema"
            ).fetchall()  # the transaction begins with its first read
            source.backup(target, pages=-1)
            source.execute("rollback").fetchall()
            target.execute("pragma journal_mode=delete").fetchall()
        with closing(open_frozen(copy)) as conn:
            found = check_integrity(conn)
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        damage = name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        return {"lines": [f"{error} ({name})"] if damage else [], "problem": "" if damage else f"{error} ({name})"}
    unread = "; ".join(f"{table}: {reason}" for table, reason in found["unchecked"])
    return {"lines": [*found["damage"], *found["indexes"]], "problem": unread}


if __name__ == "__main__":
    serve(handle)

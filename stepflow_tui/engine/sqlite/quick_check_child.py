"""The child process that checks the inside of a living database: on a copy, made in one short read.

Whoever asks decides whether the one read that copies the file may last as long as it does.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from stepflow_tui.engine.sqlite.connect import open_frozen, open_living
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

LIMIT = 100
BUSY_MS = 1_000


def handle(request: dict[str, Any], emit: Emit) -> Any:
    """Copy `path` to `copy`, and answer `{lines, problem}`: what `quick_check` says, [] when all is well."""
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
            lines = [str(line) for (line,) in conn.execute(f"pragma quick_check({LIMIT})").fetchall()]
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        damage = name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        return {"lines": [f"{error} ({name})"] if damage else [], "problem": "" if damage else f"{error} ({name})"}
    return {"lines": [] if lines == ["ok"] else lines, "problem": ""}


if __name__ == "__main__":
    serve(handle)

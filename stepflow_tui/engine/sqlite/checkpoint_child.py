"""The child process that makes one checkpoint; where nobody else has the file, again after a pause until it is complete."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.sqlite.connect import open_application, shown, side_file
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.quiet import nobody_commits
from stepflow_tui.engine.sqlite.serving import Emit, serve, text_path

_BETWEEN_SECONDS = 1.0


def handle(request: dict[str, Any], _emit: Emit) -> Any:
    """The facts of `CheckpointProof`."""
    path = text_path(request["path"])
    deadline = time.monotonic() + float(request["wait"])
    with sqlite_errors(f"The checkpoint of {shown(path)}"), closing(open_application(path)) as conn:
        _refuse_without_wal(conn, path)
        before = _wal_bytes(path)
        if request["kind"] == "passive":
            tries, (busy, frames, moved) = _beside_others(conn, path, float(request["wait"]))
        else:
            tries, (busy, frames, moved) = _alone(conn, deadline)
        # The connection is still open: closing the last one would remove the file, whatever the checkpoint did.
        after = _wal_bytes(path)
    return {"kind": request["kind"], "busy": bool(busy), "frames": frames, "checkpointed": moved, "tries": tries,
            "wal_bytes_before": before, "wal_bytes_after": after}  # fmt: skip


def _beside_others(conn: sqlite3.Connection, path: Path, wait: float) -> tuple[int, tuple[int, int, int]]:
    """Once: two checkpoints in a row beside a writer are what the WAL-reset bug needs."""
    with nobody_commits(path, wait, needed=True) as quiet:
        if not quiet:
            return 0, (1, -1, -1)
        return 1, conn.execute("PRAGMA wal_checkpoint(passive)").fetchone()


def _alone(conn: sqlite3.Connection, deadline: float) -> tuple[int, tuple[int, int, int]]:
    """How often it was tried, and what the last answer was."""
    tries = 0
    while True:
        tries += 1
        busy, frames, moved = conn.execute("PRAGMA wal_checkpoint(truncate)").fetchone()
        if (not busy and frames == moved) or time.monotonic() + _BETWEEN_SECONDS > deadline:
            return tries, (busy, frames, moved)
        time.sleep(_BETWEEN_SECONDS)


def _refuse_without_wal(conn: sqlite3.Connection, path: Path) -> None:
    [mode] = conn.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        raise Refused(
            f"{shown(path)} is not in WAL mode: there is nothing to checkpoint.",
            detail=f"journal mode {mode}",
            hint="Convert it first, and look who set it back.",
            code="checkpoint_no_wal",
        )


def _wal_bytes(path: Path) -> int:
    try:
        return side_file(path, "-wal").stat().st_size
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    serve(handle)

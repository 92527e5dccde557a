"""Owns the moment without commits that a checkpoint beside writers needs where SQLite has the WAL-reset bug."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from stepflow_tui.engine.errors import Held
from stepflow_tui.engine.model.versions import has_wal_reset_bug
from stepflow_tui.engine.sqlite.applying import begin, open_applying, rollback


@contextmanager
def nobody_commits(path: Path, wait: float, *, needed: bool) -> Iterator[bool]:
    """Where this library has the WAL-reset bug, a commit that begins `-wal` anew during a checkpoint may damage the file:
    a second connection holds the write lock meanwhile. False: it was not to be had.

    Args:
        path: the real path.
        wait: seconds for the write lock.
        needed: whether anybody else may have the file open.
    """
    if not needed or not has_wal_reset_bug(sqlite3.sqlite_version_info[:3]):
        yield True
        return
    with closing(open_applying(path)) as guard:
        try:
            begin(guard, path, wait)
        except Held:
            yield False
            return
        try:
            yield True
        finally:
            rollback(guard)

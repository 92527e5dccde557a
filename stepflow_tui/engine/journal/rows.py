"""Plain rows out of a journal: opening it without disturbing anybody, and decoding JSON columns."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import DiskFull, Refused, StepFailed, UsageError
from stepflow_tui.engine.journal import schema
from stepflow_tui.engine.journal.writer import JOURNAL, free_bytes

_SHM_BYTES = 64 * 1024
"""A reader of a closed journal needs room for its shared-memory file."""


class Rows:
    """A read-only connection that never leaves a read transaction open (it would hold the WAL back)."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self._db = connect(run_dir)
        self._file = _identity(run_dir)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def check_in_place(self) -> None:
        """Whether what is read is still the file that the next engine would open.

        Raises:
            StepFailed: it was removed, or another file took its place. An open one goes on answering as if nothing had happened.
        """
        if _identity(self.run_dir) != self._file:
            raise StepFailed(
                f"The journal of {self.run_dir.name} is no longer in its place.",
                hint="Bring the run's folder back: without its journal the run can't go on.",
                code="journal_gone",
            )

    @property
    def ready(self) -> bool:
        """Whether the engine has made the journal's tables (it is being made until then)."""
        version = int(self._select("PRAGMA user_version")[0]["user_version"])
        if version > schema.latest():
            raise Refused(
                f"The run {self.run_dir.name} was written by a newer StepFlow.",
                hint="Look at it with the version that made it.",
                code="journal_newer",
            )
        return version > 0

    def data_version(self) -> int:
        """Moves whenever another connection has written; 5 µs, ask as often as you like."""
        return int(self._select("PRAGMA data_version")[0]["data_version"])

    def rows(self, sql: str, params: tuple[Any, ...] = (), *, decode: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """All rows of a query; `data` and the columns named by `decode` as values, not JSON. [] while the journal is being made."""
        return [_decoded(r, decode) for r in self._select(sql, params)] if self.ready else []

    def one(self, sql: str, params: tuple[Any, ...] = (), *, decode: tuple[str, ...] = ()) -> dict[str, Any] | None:
        """The first row, or None."""
        found = self.rows(sql, params, decode=decode)
        return found[0] if found else None

    def _select(self, sql: str, params: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        try:
            cursor = self._db.execute(sql, params)
            names = [d[0] for d in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except sqlite3.OperationalError as exc:
            raise read_error(exc, self.run_dir) from exc
        except sqlite3.DatabaseError as exc:
            raise StepFailed(
                f"The journal of {self.run_dir.name} can't be read.", detail=str(exc), code="journal_failed"
            ) from exc


def _identity(run_dir: Path) -> tuple[int, int] | None:
    try:
        found = (run_dir / JOURNAL).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def connect(run_dir: Path) -> sqlite3.Connection:
    """A read-only connection to the run's journal.

    Raises:
        UsageError: there is none yet.
        Refused: it belongs to another user.
        DiskFull: it is closed, and there is no room for its shared-memory file.
    """
    path = run_dir / JOURNAL
    if not path.exists():
        raise UsageError(
            f"The run {run_dir.name} has no journal yet.", hint="Start it with `stepflow run`.", code="not_started"
        )
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5, check_same_thread=False
        )
    except sqlite3.OperationalError as exc:
        raise read_error(exc, run_dir) from exc
    try:
        db.execute("PRAGMA user_version").fetchall()
    except sqlite3.OperationalError as exc:
        db.close()
        raise read_error(exc, run_dir) from exc
    except sqlite3.DatabaseError as exc:
        db.close()
        raise StepFailed(
            f"The journal of {run_dir.name} can't be read.", detail=str(exc), code="journal_failed"
        ) from exc
    return db


def read_error(exc: sqlite3.OperationalError, run_dir: Path) -> StepFailed | Refused:
    """What a reader's error means: a full disk looks like an I/O error, another user's file like a missing one."""
    primary = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if (
        primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN)
        and free_bytes(run_dir) < _SHM_BYTES
    ):
        return DiskFull(f"The disk of {run_dir} is full: there is no room to look at the run.", detail=str(exc))
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return Refused(
            f"You may not look at the run {run_dir.name}.",
            detail=str(exc),
            hint="Only the user who started it, or root, may: use sudo -u.",
            code="not_yours",
        )
    return StepFailed(f"The journal of {run_dir.name} can't be read.", detail=str(exc), code="journal_failed")


def _decoded(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return row | {name: json.loads(row[name]) for name in (*names, "data") if row.get(name) is not None}

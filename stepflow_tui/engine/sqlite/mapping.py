"""Owns how SQLite's errors become StepFlow's: one context manager, by SQLite's own result names."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from stepflow_tui.engine.errors import DiskFull, Refused, StepFailed, StepFlowError


@contextmanager
def sqlite_errors(what: str) -> Iterator[None]:
    """Turn `sqlite3.Error` and a full disk into StepFlow's errors.

    Args:
        what: begins the message, such as "The backup of /data/shop.db".

    Raises:
        DiskFull: SQLITE_FULL, SQLITE_IOERR_SHMSIZE, ENOSPC, EDQUOT.
        Refused: `source_corrupt`, `source_locked`, `source_hot_journal`.
        StepFailed: `sqlite_io`, `sqlite_failed`.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise mapped(error, what) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{what} found no room on the disk.", detail=str(error)) from error
        raise StepFailed(f"{what} could not be done.", detail=str(error), code="file_failed") from error


def mapped(error: sqlite3.Error, what: str) -> StepFlowError:
    """The most specific StepFlow error for one of SQLite's."""
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    detail = f"{error} ({name})"
    if name in ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"):  # the latter: `-shm` can't be made longer
        return DiskFull(f"{what} found no room on the disk.", detail=detail)
    if name.startswith("SQLITE_CORRUPT") or name == "SQLITE_NOTADB":
        return Refused(f"{what} met a damaged database.", detail=detail, hint=CORRUPT_HINT, code="source_corrupt")
    if name == "SQLITE_READONLY_ROLLBACK":
        return Refused(
            f"{what} met a journal that a crash left behind.",
            detail=detail,
            hint="Run again: StepFlow then works on a recovered copy.",
            code="source_hot_journal",
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Refused(
            f"{what} was kept out by another process.",
            detail=detail,
            hint="`stepflow check` names who has the file open; stop it or wait, then run again.",
            code="source_locked",
        )
    if name.startswith("SQLITE_IOERR"):
        return StepFailed(
            f"{what} met an input/output error.",
            detail=detail,
            hint="Look at the disk (dmesg), then run again.",
            code="sqlite_io",
        )
    return StepFailed(f"{what} could not be done by SQLite.", detail=detail, code="sqlite_failed")


CORRUPT_HINT = (
    "Restore the newest sound backup of the source, or rebuild it with `sqlite3 SOURCE .recover | sqlite3 NEW` "
    "(for damaged indexes alone: `REINDEX`), look at what was lost, then migrate that file."
)

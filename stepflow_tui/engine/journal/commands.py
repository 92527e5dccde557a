"""Front ends' only way to write: one intent, one autocommit INSERT."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

from stepflow_tui.engine.errors import Refused, StepFailed, UsageError
from stepflow_tui.engine.journal.writer import JOURNAL
from stepflow_tui.engine.model.codec import dumps


def send(
    run_dir: Path, verb: str, args: dict[str, Any] | None = None, *, who: str, epoch: int | None = None, nonce: str = ""
) -> int:
    """Append an intent. The engine acknowledges it within a second; `RunReader.command(id)` shows its answer.

    Never a BEGIN: a front end stopped between BEGIN and COMMIT would hold up the engine. Never a checkpoint: only the
    engine makes them.

    Args:
        verb, args: what is wanted.
        who: the operator (`rundir.operator`).
        epoch: the engine the sender saw, so that an intent meant for an earlier state can be refused.
        nonce: makes a repeated send harmless; left out, every send is new.

    Returns:
        The command's id.

    Raises:
        UsageError: the run has no journal yet.
        Refused: the journal belongs to another user.
        StepFailed: the journal stays locked.
    """
    path = run_dir / JOURNAL
    if not path.exists():
        raise UsageError(
            f"The run {run_dir.name} has not started yet.", hint="Start it with `stepflow run`.", code="not_started"
        )
    nonce = nonce or uuid4().hex
    row = (time.time_ns() // 1_000_000, who, verb, dumps(args or {}), nonce, epoch)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as db:
            db.execute("PRAGMA busy_timeout=5000").fetchall()
            db.execute("PRAGMA wal_autocheckpoint=0").fetchall()
            db.execute(
                "INSERT INTO command(at_ms,who,verb,args,nonce,epoch) VALUES(?,?,?,?,?,?) ON CONFLICT(nonce) DO NOTHING",
                row,
            )
            return int(db.execute("SELECT id FROM command WHERE nonce=?", (nonce,)).fetchall()[0][0])
    except sqlite3.OperationalError as exc:
        raise _mapped(exc, run_dir) from exc


def _mapped(exc: sqlite3.OperationalError, run_dir: Path) -> StepFailed | Refused:
    primary = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return Refused(
            f"You may not steer the run {run_dir.name}.",
            detail=str(exc),
            hint="Only the user who started it, or root, may: use sudo -u.",
            code="not_yours",
        )
    return StepFailed(f"The intent could not be written to {run_dir / JOURNAL}.", detail=str(exc), code="journal_busy")

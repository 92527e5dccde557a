"""Writes the lease copy of the read switch into the source, where routers read it; docs/client.md shows its columns.

It is a copy: PostgreSQL's row is right when they differ, and a lease that is not renewed ends by itself. So writing it may
fail at any time, and nobody waits for it: one attempt, a few milliseconds of patience.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stepflow_tui.client.lease import LeaseFile
from stepflow_tui.engine.model.live import CTL, SWITCH
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.applying import RETRY_SECONDS
from stepflow_tui.engine.sqlite.capture_write import is_busy
from stepflow_tui.engine.sqlite.connect import open_application, shown
from stepflow_tui.engine.sqlite.mapping import sqlite_errors

OPEN_MS, BEGIN_SECONDS, COMMIT_SECONDS = 300, 0.3, 0.02
"""For how long one attempt waits for the application's writers, which costs it nothing, and then for its readers of a
rollback-journal file, which keeps new ones out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseCopy:
    """What routers go by until `until_ms` (milliseconds since 1970; 0: no lease, reads follow the owner of writes)."""

    version: int
    share: int
    salt: str
    groups: Sequence[str]
    until_ms: int


class LeaseOutcome(StrEnum):
    """What became of an attempt."""

    WRITTEN = "written"
    BUSY = "busy"  # the application has the file: try again in a moment
    NEWER = "newer"  # a later version stands there: somebody else leads
    GONE = "gone"  # no capture of this run in the file


async def write_lease(path: Path, run: str, copy: LeaseCopy) -> LeaseOutcome:
    """Write it, unless a newer version stands there. One short transaction.

    Args:
        path: the real path of the source.
        run: the run whose capture must be installed.
        copy: the lease.

    Raises:
        StepFlowError: the file can't be written at all (disk full, no right).
    """
    return await asyncio.to_thread(_write, path, run, copy)


async def lease_version(path: Path) -> int:
    """The version that stands in the source, 0 where that can't be read."""
    return await asyncio.to_thread(_version, path)


def _write(path: Path, run: str, copy: LeaseCopy) -> LeaseOutcome:
    with sqlite_errors(f"The lease of the read switch in {shown(path)}"):
        try:
            with closing(open_application(path, busy_timeout_ms=OPEN_MS)) as conn:
                return _transaction(conn, run, copy)
        except sqlite3.OperationalError as error:
            if is_busy(error):
                return LeaseOutcome.BUSY
            raise


def _transaction(conn: sqlite3.Connection, run: str, copy: LeaseCopy) -> LeaseOutcome:
    if conn.execute("pragma journal_mode").fetchone()[0] == "wal":
        conn.execute(
            "pragma synchronous=1"
        )  # no wait for the disk: a lease that a power failure takes is none the worse
    conn.execute("pragma busy_timeout=0")  # from here on `_until` waits
    _until(conn, "begin immediate", BEGIN_SECONDS)
    try:
        outcome = _put(conn, run, copy)
        _until(conn, "commit", COMMIT_SECONDS)
    except BaseException:
        with suppress(sqlite3.Error):  # some errors end the transaction by themselves
            conn.execute("rollback")
        raise
    return outcome


def _version(path: Path) -> int:
    with closing(LeaseFile(path)) as file:
        try:
            lease = file()
        except (sqlite3.Error, OSError, ValueError):
            return 0
    return lease.version if lease is not None else 0


def _until(conn: sqlite3.Connection, statement: str, seconds: float) -> None:
    """SQLite's own waiting sleeps too long to get in between the writes of a busy application."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            conn.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(RETRY_SECONDS)


def _put(conn: sqlite3.Connection, run: str, copy: LeaseCopy) -> LeaseOutcome:
    there = conn.execute("select 1 from sqlite_schema where type='table' and name=?", (SWITCH,)).fetchone()
    if there is None or conn.execute(f"select 1 from {lite_ident(CTL)} where run=?", (run,)).fetchone() is None:
        return LeaseOutcome.GONE
    written = conn.execute(
        f"insert into {lite_ident(SWITCH)}(one,version,share,salt,groups,owner,lease_until_ms)"
        f" select 1,?,?,?,?,owner,? from {lite_ident(CTL)} where one=1"
        " on conflict(one) do update set version=excluded.version, share=excluded.share, salt=excluded.salt,"
        " groups=excluded.groups, owner=excluded.owner, lease_until_ms=excluded.lease_until_ms"
        " where excluded.version>=version",
        (copy.version, copy.share, copy.salt, json.dumps(list(copy.groups)), copy.until_ms),
    ).rowcount
    return LeaseOutcome.WRITTEN if written == 1 else LeaseOutcome.NEWER

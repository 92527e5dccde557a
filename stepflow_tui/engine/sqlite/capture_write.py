"""One short write transaction on an application's file, tried again while writers keep it out."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from stepflow_tui.engine.errors import Held
from stepflow_tui.engine.sqlite.connect import open_application, shown
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.together import to_the_end

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""For how long a transaction is tried again before the user hears of it."""

_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.01, 0.5


class _Busy(Exception):
    """Somebody else holds the lock."""


async def in_one_write(
    path: Path, what: str, work: Callable[[sqlite3.Connection], T], *, patience_seconds: float = PATIENCE_SECONDS
) -> T:
    """Run `work` in one BEGIN IMMEDIATE … COMMIT of its own connection, in a thread.

    SQLite's busy timeout doesn't wait everywhere (a write that would deadlock fails at once), so this tries again itself,
    with short attempts and growing pauses in between: no application waits for us longer than one attempt. A cancellation
    waits for the attempt that is under way; when it comes through, that attempt was committed or changed nothing.

    Args:
        path: the real path of the application's file.
        what: begins messages, such as "Change capture of /data/shop.db".
        work: does everything; it may run several times, each time from the start.

    Raises:
        Held: `source_busy`: writers kept it out all the time. What `work` raises.
        StepFlowError: as `sqlite_errors` maps.
    """
    clock = asyncio.get_running_loop().time
    deadline, wait = clock() + patience_seconds, _FIRST_WAIT_SECONDS
    while True:
        try:
            with sqlite_errors(what):
                # a thread can't be cancelled: its commit must not come after its caller believes that it is over
                return await to_the_end(asyncio.to_thread(_attempt, path, work))
        except _Busy as busy:
            if clock() + wait > deadline:
                raise _kept_out(path, what, patience_seconds) from busy.__cause__
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads attempts, no secret
        wait = min(wait * 2, _LONGEST_WAIT_SECONDS)


def _attempt(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    try:
        conn = open_application(path)
        try:
            return _transaction(conn, work)
        finally:
            conn.close()
    except sqlite3.OperationalError as error:
        if is_busy(error):
            raise _Busy from error
        raise


def _transaction(conn: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    conn.execute("begin immediate")
    try:
        result = work(conn)
        conn.execute("commit")
    except BaseException:
        with suppress(sqlite3.Error):  # some errors end the transaction by themselves
            conn.execute("rollback")
        raise
    return result


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection's lock is all that stands in the way."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _kept_out(path: Path, what: str, seconds: float) -> Held:
    return Held(
        f"{what} found no moment without a writer or reader in {seconds:g} s.",
        detail=f"{shown(path)} was locked at each attempt",
        hint="`stepflow check` names who has the file open; end the long transaction, then run again.",
        code="source_busy",
    )

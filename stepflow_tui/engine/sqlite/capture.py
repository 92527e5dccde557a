"""Change capture in the source: installing it, removing it without a trace, keeping its log small.

Everything that writes does so in short BEGIN IMMEDIATE transactions of its own. `capture_state` tells whether capture is
still whole, `capture_accept` answers when it isn't.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.live import CTL, LOG, CapturePlan, Installed
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.capture_accept import Accepted, Why, accept_schema
from stepflow_tui.engine.sqlite.capture_make import (
    check_plan,
    drop_triggers,
    make_triggers,
    must_compile,
    refusal,
    remove,
    renew_triggers,
)
from stepflow_tui.engine.sqlite.capture_state import (
    Control,
    as_text,
    guard,
    identity,
    newest,
    our_objects,
    read_control,
    replaced,
    stamp,
)
from stepflow_tui.engine.sqlite.capture_write import PATIENCE_SECONDS, in_one_write
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.connect import open_application, open_living, shown
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.mark import drop_mark

__all__ = [
    "Accepted", "LogSize", "Why", "accept_schema", "guard", "install", "install_within", "is_installed", "let_go", "log_size", "measure", "newest", "open_application", "prune",
    "renew_triggers", "stamp", "uninstall",
]  # fmt: skip

PRUNE_ROWS = 2_000
"""Log entries that one pruning transaction deletes: a few milliseconds of the write lock."""

_SAMPLE_ROWS = 200
_ROW_OVERHEAD_BYTES = 12  # cell header, rowid, record header


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSize:
    """How large the log is. `rows` counts from the oldest to the newest number; `bytes` is estimated from a sample."""

    rows: int
    newest: int
    bytes: int


async def install(
    path: Path, plan: CapturePlan, run_id: str, *, patience_seconds: float = PATIENCE_SECONDS
) -> Installed:
    """Make the log, the control row and all triggers in one transaction; once it commits, every later change is logged.

    No writer can be in flight at that moment: the transaction holds the write lock. For a run that has its capture in the
    file already, this only says what was installed.

    Args:
        path: the real path of the application's file.
        plan: made from the schema as it is now.
        run_id: whose capture it is.
        patience_seconds: how long writers may keep it out.

    Raises:
        Refused: `capture_leftover` of another run, `capture_trigger_refused`. Held: `source_busy`.
        Drift: `capture_table_changed`: a table is not what the plan was made from.
    """
    what = f"Change capture of {shown(path)}"
    before = identity(path)

    def work(conn: sqlite3.Connection) -> Installed:
        return install_within(conn, plan, run_id, path)

    installed = await in_one_write(path, what, work, patience_seconds=patience_seconds)
    if (installed.device, installed.inode) != before:
        raise replaced(path, "it was replaced while capture was being installed")
    return installed


def install_within(conn: sqlite3.Connection, plan: CapturePlan, run_id: str, path: Path) -> Installed:
    """`install` inside a transaction of the caller, who commits it."""
    return _found(conn, path, run_id) or _install(conn, plan, run_id, path)


def _found(conn: sqlite3.Connection, path: Path, run_id: str) -> Installed | None:
    control = _own_control(conn, path, run_id)
    if control is None:
        return None
    device, inode = identity(path)
    return Installed(
        device=device, inode=inode, schema_version=control.schema_version, triggers_sha256=control.triggers
    )


def _own_control(conn: sqlite3.Connection, path: Path, run_id: str) -> Control | None:
    """This run's control row; None when the file holds nothing of ours.

    Raises:
        Refused: `capture_leftover`.
    """
    objects, control = our_objects(conn), read_control(conn)
    if not objects:
        return None
    if control is not None and control.run == run_id:
        return control
    if control is None:
        raise Refused(
            f"{shown(path)} has objects whose names begin with _sf_, which are kept for change capture.",
            detail=", ".join(name for _, name, _, _ in objects),
            hint="Drop or rename them if no migration of yours needs them, then run again.",
            code="capture_leftover",
        )
    raise Refused(
        f"{shown(path)} still holds the change capture of the run {control.run}.",
        hint=f"End that run with `stepflow abort {control.run}`, or tidy up with `stepflow cleanup {control.run}`.",
        code="capture_leftover",
    )


def _install(conn: sqlite3.Connection, plan: CapturePlan, run_id: str, path: Path) -> Installed:
    check_plan(read_schema(conn), plan)
    compiled = {t.source for t in plan.tables if refusal(conn, t.source) is None}
    for statement in plan.setup:
        conn.execute(statement)
    conn.execute(f"insert into {lite_ident(CTL)}(one, run) values (1, ?)", (run_id,))
    failpoint("capture_tables_made")
    make_triggers(conn, plan)
    for table in sorted(compiled):
        must_compile(conn, table)
    failpoint("capture_triggers_made")
    installed = stamp(conn, path)
    failpoint("capture_stamped")
    return installed


async def uninstall(
    path: Path,
    run_id: str,
    *,
    with_fence: bool = False,
    keep_mark: bool = False,
    patience_seconds: float = PATIENCE_SECONDS,
) -> bool:
    """Remove everything of ours in one transaction; the catalog is then what it was. Says whether there was anything.

    Triggers of the application that the write fence took away are made again.

    Args:
        with_fence: the write fence, where it stands, goes too: for whoever knows which side owns writes. Without it, a
            removal that was begun before the fence rose can't take it away.
        keep_mark: writes have moved for good, and the mark goes on saying so. Else this run's mark goes, if there is one.

    Raises:
        Refused: `capture_leftover` of another run, `capture_fenced`. Held: `source_busy`.
    """

    def work(conn: sqlite3.Connection) -> bool:
        control = _own_control(conn, path, run_id)
        if control is None:
            return False
        if control.fenced and not with_fence:
            raise _fenced(path)
        if not keep_mark:
            drop_mark(path, run_id)  # before the commit: up to it the control row says who owns writes
        remove(conn, control)
        return True

    what = f"Removing change capture from {shown(path)}"
    return await in_one_write(path, what, work, patience_seconds=patience_seconds)


def _fenced(path: Path) -> Refused:
    return Refused(
        f"The write fence stands in {shown(path)}, so change capture was not removed.",
        detail="writes are on their way to PostgreSQL, or there already",
        hint="`stepflow run` or `stepflow rollback` brings that to its end; either needs PostgreSQL.",
        code="capture_fenced",
    )


async def is_installed(path: Path, run_id: str) -> bool:
    """Whether this run's capture is in the file, whole or not."""
    return await asyncio.to_thread(_is_installed, path, run_id)


def _is_installed(path: Path, run_id: str) -> bool:
    with sqlite_errors(f"Looking for change capture in {shown(path)}"):
        try:
            conn = open_living(path)
        except sqlite3.OperationalError:  # a hot journal: only who may write can roll it back
            conn = open_application(path)
        with closing(conn):
            control = read_control(conn)
    return control is not None and control.run == run_id


async def let_go(path: Path, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Drop the capture triggers alone: their log is gone, so that every write of the application fails on them.

    Raises:
        Held: `source_busy`.
    """
    what = f"Dropping the triggers of change capture in {shown(path)}"
    await in_one_write(path, what, drop_triggers, patience_seconds=patience_seconds)


async def prune(path: Path, below_n: int) -> int:
    """Delete log entries numbered below `below_n`, oldest first, in small transactions. Returns how many.

    The newest entry stays whatever `below_n` says: numbers go on from it. Entry 0 stays too.

    The caller chooses a number whose entries the target holds durably, minus the time it may have to go back.

    Raises:
        Held: `source_busy`.
    """
    total = 0
    while True:
        gone = await in_one_write(
            path, f"Pruning the change log of {shown(path)}", lambda conn: _prune_some(conn, below_n)
        )
        total += gone
        if gone < PRUNE_ROWS:
            return total
        await asyncio.sleep(0)


def _prune_some(conn: sqlite3.Connection, below_n: int) -> int:
    log = lite_ident(LOG)
    return conn.execute(
        f"delete from {log} where n in (select n from {log} where n > 0 and n < min(?, (select max(n) from {log})) order by n limit ?)",
        (below_n, PRUNE_ROWS),
    ).rowcount


async def measure(path: Path) -> LogSize:
    """How large the log in the file is.

    Raises:
        StepFlowError: the file can't be read, or holds no log.
    """
    return await asyncio.to_thread(_measure, path)


def _measure(path: Path) -> LogSize:
    with sqlite_errors(f"Measuring the change log of {shown(path)}"), closing(open_living(path)) as conn:
        return log_size(conn)


def log_size(conn: sqlite3.Connection) -> LogSize:
    """How large the log is, without reading it: numbers have no gaps (a rollback takes the counter back too)."""
    log = lite_ident(LOG)
    columns = [as_text(row[1]) for row in conn.execute(f"pragma table_info({log})")]
    length = " + ".join(f"ifnull(length(cast({lite_ident(c)} as blob)), 0)" for c in columns if c != "n")
    oldest = conn.execute(f"select min(n) from {log} where n > 0").fetchone()[0]
    mean = conn.execute(
        f"select avg({length}) from (select * from {log} where n > 0 order by n desc limit {_SAMPLE_ROWS})"
    )
    each = _ROW_OVERHEAD_BYTES + float(mean.fetchone()[0] or 0)
    last = newest(conn)
    rows = 0 if oldest is None else last - int(oldest) + 1
    return LogSize(rows=rows, newest=last, bytes=int(rows * each))

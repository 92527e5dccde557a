"""Change capture in the source: installing it, removing it without a trace, keeping its log small.

Everything that writes does so in short BEGIN IMMEDIATE transactions of its own. `capture_state` tells whether capture is
still whole, `capture_accept` answers when it isn't.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import Drift, Refused
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.live import CTL, LOG, CapturePlan, Installed
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.plan.capture import captured_table
from stepflow_tui.engine.plan.quote import lite_ident
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
from stepflow_tui.engine.sqlite.connect import open_application, shown

__all__ = [
    "LogSize", "guard", "install", "log_size", "newest", "open_application", "prune", "remove", "stamp", "uninstall",
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
        Refused: `capture_leftover` of another run, `capture_trigger_refused`, `source_busy`.
        Drift: `capture_table_changed`: a table is not what the plan was made from.
    """
    what = f"Change capture of {shown(path)}"
    before = identity(path)

    def work(conn: sqlite3.Connection) -> Installed:
        return _found(conn, path, run_id) or _install(conn, plan, run_id, path)

    installed = await in_one_write(path, what, work, patience_seconds=patience_seconds)
    if (installed.device, installed.inode) != before:
        raise replaced(path, "it was replaced while capture was being installed")
    return installed


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
    sound = {t.source for t in plan.tables if _refusal(conn, t.source) is None}
    for statement in plan.setup:
        conn.execute(statement)
    conn.execute(f"insert into {lite_ident(CTL)}(one, run) values (1, ?)", (run_id,))
    failpoint("capture_tables_made")
    make_triggers(conn, plan)
    for table in sorted(sound):
        _compiles(conn, table)
    failpoint("capture_triggers_made")
    installed = stamp(conn, path)
    failpoint("capture_stamped")
    return installed


def check_plan(schema: SourceSchema, plan: CapturePlan) -> None:
    """Every name in the triggers is a name in the catalog: SQLite takes a misspelt quoted name for a text, silently.

    Making the triggers once more from what the catalog says now must give the same texts.

    Raises:
        Drift: `capture_table_changed`.
    """
    by_name = {t.name: t for t in schema.tables}
    for table in plan.tables:
        found = by_name.get(table.source)
        if found is None or dict(captured_table(found, table.key).triggers) != dict(table.triggers):
            raise Drift(
                f"Table {table.source!r} is not what it was when the run was planned.",
                detail="it is gone" if found is None else "its keys or unique indexes changed",
                code="capture_table_changed",
            )


def make_triggers(conn: sqlite3.Connection, plan: CapturePlan) -> None:
    """Create all triggers of a plan and compare what SQLite kept of them.

    Raises:
        Refused: `capture_trigger_refused`.
    """
    for sql in plan.triggers.values():
        conn.execute(sql)
    kept = {name: sql for kind, name, _, sql in our_objects(conn) if kind == "trigger"}
    wrong = sorted(name for name, sql in plan.triggers.items() if kept.get(name) != sql)
    if wrong:
        raise _refused(wrong[0], "it reads back differently")


def _compiles(conn: sqlite3.Connection, table: str) -> None:
    refusal = _refusal(conn, table)
    if refusal is not None:
        raise _refused(table, refusal)


def _refusal(conn: sqlite3.Connection, table: str) -> str | None:
    """SQLite's words when it can't compile writes to this table with all its triggers, None when it can."""
    name = lite_ident(table)
    try:
        column = next(as_text(r[1]) for r in conn.execute(f"pragma table_xinfo({name})") if r[6] == 0)
        conn.execute(f"explain insert into {name} default values").close()
        conn.execute(f"explain update {name} set {lite_ident(column)} = {lite_ident(column)}").close()
        conn.execute(f"explain delete from {name}").close()
    except sqlite3.Error as error:
        return str(error)
    return None


def _refused(name: str, detail: str) -> Refused:
    return Refused(
        f"SQLite does not take the triggers of change capture on {name!r}.",
        detail=detail,
        hint="Leave the table out with `tables.exclude`, or migrate with `mode: copy` while nobody writes.",
        code="capture_trigger_refused",
    )


async def uninstall(path: Path, run_id: str, *, patience_seconds: float = PATIENCE_SECONDS) -> bool:
    """Remove everything of ours in one transaction; the catalog is then what it was. Says whether there was anything.

    Triggers of the application that the write fence took away are made again.

    Raises:
        Refused: `capture_leftover` of another run, `source_busy`.
    """

    def work(conn: sqlite3.Connection) -> bool:
        control = _own_control(conn, path, run_id)
        if control is not None:
            remove(conn, control)
        return control is not None

    what = f"Removing change capture from {shown(path)}"
    return await in_one_write(path, what, work, patience_seconds=patience_seconds)


def remove(conn: sqlite3.Connection, control: Control) -> None:
    """Drop everything of ours inside the caller's transaction, and give the application its own triggers back."""
    sequence_is_ours = _made_sequence_table(conn)
    objects = our_objects(conn)
    for kind, name, _, _ in objects:
        if kind == "trigger":
            conn.execute(f"drop trigger {lite_ident(name)}")
    for kind, name, _, _ in objects:
        if kind == "table":
            conn.execute(f"drop table {lite_ident(name)}")
    for trigger in json.loads(control.app_triggers):
        conn.execute(str(trigger["sql"]))
    if sequence_is_ours:
        _drop_sequence_table(conn)


def _made_sequence_table(conn: sqlite3.Connection) -> bool:
    """Whether SQLite made its table of AUTOINCREMENT counters for our log, and nothing else counts in it."""
    entries = {as_text(name): int(number) for number, name in conn.execute("select rowid, name from sqlite_master")}
    if "sqlite_sequence" not in entries or LOG not in entries or entries["sqlite_sequence"] < entries[LOG]:
        return False
    others = conn.execute(
        "select count(*) from sqlite_master where type = 'table' and sql like '%autoincrement%' and name <> ?", (LOG,)
    ).fetchone()
    return int(others[0]) == 0


def _drop_sequence_table(conn: sqlite3.Connection) -> None:
    """SQLite makes `sqlite_sequence` by itself and has no statement to drop it: give it another name, then drop that.

    The schema version moves with it, so every other connection reads the schema anew before its next statement.
    """
    conn.execute("pragma writable_schema = on")
    try:
        renamed = conn.execute(
            "update sqlite_master set name = '_sf_sequence', tbl_name = '_sf_sequence', "
            "sql = 'CREATE TABLE _sf_sequence(name,seq)' where type = 'table' and name = 'sqlite_sequence'"
        ).rowcount
        version = int(conn.execute("pragma schema_version").fetchone()[0])
        conn.execute(f"pragma schema_version = {version + 1}")
    finally:
        conn.execute("pragma writable_schema = reset")
    if renamed == 1:
        conn.execute("drop table _sf_sequence")


async def prune(path: Path, below_n: int) -> int:
    """Delete log entries numbered below `below_n`, oldest first, in small transactions. Returns how many.

    The caller chooses a number whose entries the target holds durably, minus the time it may have to go back.

    Raises:
        Refused: `source_busy`.
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
        f"delete from {log} where n in (select n from {log} where n < ? order by n limit ?)", (below_n, PRUNE_ROWS)
    ).rowcount


def log_size(conn: sqlite3.Connection) -> LogSize:
    """How large the log is, without reading it: numbers have no gaps (a rollback takes the counter back too)."""
    log = lite_ident(LOG)
    columns = [as_text(row[1]) for row in conn.execute(f"pragma table_info({log})")]
    length = " + ".join(f"ifnull(length(cast({lite_ident(c)} as blob)), 0)" for c in columns if c != "n")
    oldest = conn.execute(f"select min(n) from {log}").fetchone()[0]
    mean = conn.execute(f"select avg({length}) from (select * from {log} order by n desc limit {_SAMPLE_ROWS})")
    each = _ROW_OVERHEAD_BYTES + float(mean.fetchone()[0] or 0)
    last = newest(conn)
    rows = 0 if oldest is None else last - int(oldest) + 1
    return LogSize(rows=rows, newest=last, bytes=int(rows * each))

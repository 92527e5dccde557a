"""What capture left in a source: its objects, its control row, and whether both are still as they were."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.model.live import CTL, LOG, OURS, SWITCH, Installed, Owner
from stepflow_tui.engine.plan.capture import TRIGGERS
from stepflow_tui.engine.plan.quote import lite_ident, lite_literal
from stepflow_tui.engine.sqlite.connect import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The part of `_sf_ctl` that capture itself needs."""

    run: str
    schema_version: int
    triggers: str  # digest, "" before capture was complete
    app_triggers: str  # JSON list of the application's triggers kept while the write fence stands
    fenced: bool  # whether the write fence stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A source that carries change capture. `run` is "" where the control row is gone; `names` of its tables and triggers."""

    run: str
    owner: Owner
    names: tuple[str, ...]


def captured(conn: sqlite3.Connection) -> Captured | None:
    """Whose change capture a source carries, and who owns its writes; None where there is none.

    The control table or a capture trigger tells it: a table that is only called like ours may be the application's.
    """
    objects = our_objects(conn)
    triggers = [name for kind, name, _, _ in objects if kind == "trigger" and name.startswith(TRIGGERS)]
    tables = [name for kind, name, _, _ in objects if kind == "table" and name in (LOG, CTL, SWITCH)]
    control = _owner(conn) if CTL in tables else None
    if control is None and not triggers:
        return None
    run, owner = control or ("", Owner.SQLITE)
    return Captured(run=run, owner=owner, names=(*tables, *triggers))


def _owner(conn: sqlite3.Connection) -> tuple[str, Owner] | None:
    try:
        row = conn.execute(f"select run, owner from {lite_ident(CTL)}").fetchone()
    except sqlite3.OperationalError as error:
        if "no such column" not in str(error):
            raise
        return None
    moved = row is not None and as_text(row[1]) == Owner.POSTGRESQL.value
    return ("" if row is None else as_text(row[0])), Owner.POSTGRESQL if moved else Owner.SQLITE


def our_objects(conn: sqlite3.Connection) -> list[tuple[str, str, str, str]]:
    """(type, name, table, sql) of every table and trigger of ours, by name."""
    rows = conn.execute(
        "select type, name, tbl_name, sql from sqlite_master where type in ('table', 'trigger') "
        f"and substr(name, 1, {len(OURS)}) = {lite_literal(OURS)} order by name"
    )
    return [(as_text(a), as_text(b), as_text(c), as_text(d)) for a, b, c, d in rows]


def as_text(value: object) -> str:
    """A TEXT value, whatever the connection's text factory makes of it."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def triggers_digest(objects: list[tuple[str, str, str, str]]) -> str:
    """One digest of the capture triggers: names, tables and texts. (The write fence's come and go.)"""
    digest = hashlib.sha256()
    for kind, name, table, sql in objects:
        if kind == "trigger" and name.startswith(TRIGGERS):
            digest.update("\x00".join((name, table, sql, "")).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def read_control(conn: sqlite3.Connection) -> Control | None:
    """The control row; None without the table, or without a row in it."""
    try:
        row = conn.execute(
            f"select run, schema_version, triggers, app_triggers, fenced from {lite_ident(CTL)}"
        ).fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return None
    if row is None:
        return None
    return Control(
        run=as_text(row[0]),
        schema_version=int(row[1]),
        triggers=as_text(row[2]),
        app_triggers=as_text(row[3]),
        fenced=bool(row[4]),
    )


def schema_version(conn: sqlite3.Connection) -> int:
    """The schema version of the snapshot this connection reads, its own uncommitted changes included."""
    return int(conn.execute("pragma schema_version").fetchone()[0])


def newest(conn: sqlite3.Connection) -> int:
    """The number of the newest log entry ever made, 0 before the first: pruning leaves it."""
    return int(conn.execute(f"select coalesce(max(n), 0) from {lite_ident(LOG)}").fetchone()[0])


def identity(path: Path) -> tuple[int, int]:
    """Device and inode of the file that has this name now.

    Raises:
        Drift: `capture_file_replaced`: no file has it.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - one system call per tail step, and never an open descriptor
    except OSError as error:
        raise replaced(path, str(error)) from error
    return status.st_dev, status.st_ino


def stamp(conn: sqlite3.Connection, path: Path) -> Installed:
    """Make what the schema is now the expected state. Called last in every transaction of ours that changes the schema.

    Args:
        conn: in that transaction. What it found before its own changes must have passed `guard`.
        path: the real path of the file.
    """
    digest, version = triggers_digest(our_objects(conn)), schema_version(conn)
    conn.execute(f"update {lite_ident(CTL)} set schema_version = ?, triggers = ?", (version, digest))
    device, inode = identity(path)
    return Installed(device=device, inode=inode, schema_version=version, triggers_sha256=digest)


def guard(conn: sqlite3.Connection, installed: Installed, path: Path, *, applied: int = 0) -> int:
    """Prove that the log is complete in this snapshot. Called inside the tail's read transaction.

    The triggers' texts are compared each time, not only when the schema version moved: a file overwritten in place, or
    edited through `writable_schema`, may show the version of before. Reading the schema table takes well under a
    millisecond. Expected are the values that `_sf_ctl` holds in the same snapshot, so DDL of ours is never taken for drift.

    Args:
        conn: in a read transaction, any text factory.
        installed: tells the very file (device and inode).
        path: the real path of the file.
        applied: the newest log entry that the target holds.

    Returns:
        The number of the newest log entry.

    Raises:
        Drift: `capture_file_replaced`, `capture_log_missing`, `capture_trigger_missing`, `capture_schema_changed`,
            `capture_rewound`.
    """
    if identity(path) != (installed.device, installed.inode):
        raise replaced(path, "device or inode differ from those at the start")
    objects, control = our_objects(conn), read_control(conn)
    missing = missing_objects(objects)
    if missing or control is None:
        raise log_missing(path, missing)
    if triggers_digest(objects) != control.triggers:
        raise _trigger_missing(path)
    version = schema_version(conn)
    if version != control.schema_version:
        raise _schema_changed(path, control.schema_version, version)
    seen = newest(conn)
    if seen < applied:
        raise rewound(path, applied, seen)
    return seen


_START_OVER = "Make sure that this is the application's file, then `stepflow abort` and start a new run: everything is copied again."


def replaced(path: Path, detail: str) -> Drift:
    """Another file has the source's name."""
    return Drift(
        f"{shown(path)} is not the file any more whose changes are being captured.",
        detail=detail,
        hint=_START_OVER,
        code="capture_file_replaced",
    )


def missing_objects(objects: list[tuple[str, str, str, str]]) -> set[str]:
    """Names of tables of ours that are not among these objects."""
    return {LOG, CTL, SWITCH} - {name for kind, name, _, _ in objects if kind == "table"}


def log_missing(path: Path, missing: set[str]) -> Drift:
    """A table of ours, or the control row, is gone: what was logged is lost."""
    return Drift(
        f"The change log in {shown(path)} is gone.",
        detail="missing: " + (", ".join(sorted(missing)) or f"the row of {CTL}"),
        hint=_START_OVER,
        code="capture_log_missing",
    )


def _trigger_missing(path: Path) -> Drift:
    return Drift(
        f"Triggers of change capture in {shown(path)} were dropped or altered; later changes may be missing in the log.",
        hint="`stepflow run` installs them again and copies the tables concerned again.",
        code="capture_trigger_missing",
    )


def _schema_changed(path: Path, expected: int, found: int) -> Drift:
    return Drift(
        f"The schema of {shown(path)} was changed, or the file was vacuumed, while its changes are being captured.",
        detail=f"schema version {expected} before, {found} now",
        hint="`stepflow run` looks at what changed and copies the tables concerned again.",
        code="capture_schema_changed",
    )


def rewound(path: Path, applied: int, seen: int) -> Drift:
    """The file is an older copy of itself."""
    return Drift(
        f"{shown(path)} was put back to an earlier state: its change log ends before what was applied already.",
        detail=f"applied up to {applied}, the log ends at {seen}",
        hint=_START_OVER,
        code="capture_rewound",
    )

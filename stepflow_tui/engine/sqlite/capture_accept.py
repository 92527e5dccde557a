"""Answers a schema change that the guard noticed: what it was, whether the run can go on, which tables to copy again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.model.live import CapturedTable, CapturePlan, Installed
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.plan.capture import TRIGGERS, captured_table
from stepflow_tui.engine.sqlite.capture_make import behind_others, drop_triggers, make_triggers
from stepflow_tui.engine.sqlite.capture_state import (
    identity,
    log_missing,
    missing_objects,
    newest,
    our_objects,
    read_control,
    replaced,
    rewound,
    schema_version,
    stamp,
)
from stepflow_tui.engine.sqlite.capture_write import PATIENCE_SECONDS, in_one_write
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.connect import shown


class Why(StrEnum):
    """Why a table has to be copied again."""

    TRIGGERS = "triggers"  # a trigger of ours was missing or altered: changes may be missing in the log
    ORDER = "order"  # the application made a trigger later than ours: if it failed under OR FAIL, ours did not fire
    REBUILT = "rebuilt"  # its CREATE text differs: rows may have been changed on the way, unseen
    KEYS = "keys"  # unique keys came or went: triggers made before did not know them
    ROWIDS = "rowids"  # rows known by rowid only, which a VACUUM may have numbered anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What holds from now on. `again`: source tables to copy again, with the first reason that applies.

    Everything that was logged up to the transaction that accepted stays in the log; changes after it are logged by the
    triggers of `plan`.
    """

    installed: Installed
    plan: CapturePlan
    again: dict[str, Why]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    kept: dict[str, str]  # capture triggers as they are
    late: set[str]  # tables with a newer trigger of the application, in lower case
    moved: bool  # the schema version is not the expected one


async def accept_schema(
    path: Path,
    installed: Installed,
    plan: CapturePlan,
    *,
    applied: int = 0,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Accepted:
    """Look at the schema as it is, make missing triggers again and take the new version, all in one transaction.

    A VACUUM leaves nothing that tells it from other DDL, so every accepted change has tables that are keyed by rowid copied
    again, unless the schema version is the expected one.

    Args:
        path: the real path of the application's file.
        installed: what is held for true so far.
        plan: the triggers it was installed with.
        applied: the newest log entry that the target holds.
        patience_seconds: how long writers may keep it out.

    Raises:
        Drift: `capture_file_replaced`, `capture_log_missing`, `capture_rewound`, `capture_table_dropped`,
            `capture_table_changed`.
        Refused: `not_capturable` (a new index can't be read), `capture_trigger_refused`. Held: `source_busy`.
    """

    def work(conn: sqlite3.Connection) -> Accepted:
        return _accept(conn, installed, plan, path, applied)

    what = f"Change capture of {shown(path)}"
    return await in_one_write(path, what, work, patience_seconds=patience_seconds)


def _accept(conn: sqlite3.Connection, installed: Installed, plan: CapturePlan, path: Path, applied: int) -> Accepted:
    if identity(path) != (installed.device, installed.inode):
        raise replaced(path, "device or inode differ from those at the start")
    control = read_control(conn)
    missing = missing_objects(our_objects(conn))
    if missing or control is None:
        raise log_missing(path, missing)
    if (seen := newest(conn)) < applied:
        raise rewound(path, applied, seen)
    schema = read_schema(conn)
    now = replace(plan, tables=tuple(_now(schema, table, path) for table in plan.tables))
    kept = {name: sql for kind, name, _, sql in our_objects(conn) if kind == "trigger" and name.startswith(TRIGGERS)}
    found = _Found(kept=kept, late=behind_others(conn), moved=schema_version(conn) != control.schema_version)
    again = {t.source: why for t, n in zip(plan.tables, now.tables, strict=True) if (why := _why(t, n, found))}
    if kept != now.triggers or found.late:
        drop_triggers(conn)
        make_triggers(conn, now)
    return Accepted(installed=stamp(conn, path), plan=now, again=again)


def _now(schema: SourceSchema, table: CapturedTable, path: Path) -> CapturedTable:
    """The same table as the catalog has it now.

    Raises:
        Drift: it is gone, or the target's table does not fit it any more.
    """
    found = next((t for t in schema.tables if t.name == table.source), None)
    if found is None:
        raise Drift(
            f"Table {table.source!r} was dropped or renamed in {shown(path)} while its changes are being captured.",
            hint="Put it back under its name, or `stepflow abort` and start a new run with the schema as it is now.",
            code="capture_table_dropped",
        )
    now = captured_table(found, table.key, schema.triggers)
    if now.shape != table.shape:
        raise Drift(
            f"Columns of table {table.source!r} were changed in {shown(path)} while its changes are being captured.",
            detail="its columns now: " + ", ".join(f"{c.name} {c.declared}".strip() for c in found.columns),
            hint="The target's table does not fit any more: `stepflow abort` and start a new run with this schema.",
            code="capture_table_changed",
        )
    return now


def _why(then: CapturedTable, now: CapturedTable, found: _Found) -> Why | None:
    if any(found.kept.get(name) != sql for name, sql in then.triggers.items()):
        return Why.TRIGGERS
    if dict(then.triggers) != dict(now.triggers):
        return Why.KEYS
    if then.source.lower() in found.late:
        return Why.ORDER
    if then.text != now.text:
        return Why.REBUILT
    return Why.ROWIDS if found.moved and now.by_rowid else None

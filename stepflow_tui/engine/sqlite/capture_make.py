"""Makes and drops the objects of change capture, inside transactions that others own."""

from __future__ import annotations

import json
import sqlite3

from stepflow_tui.engine.errors import Drift, Refused
from stepflow_tui.engine.model.live import OURS, CapturePlan
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.plan.capture import TRIGGERS, captured_table
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.capture_state import Control, as_text, our_objects


def check_plan(schema: SourceSchema, plan: CapturePlan) -> None:
    """Every name in the triggers is a name in the catalog: SQLite takes a misspelt quoted name for a text, silently.

    Making the triggers once more from what the catalog says now must give the same texts.

    Raises:
        Drift: `capture_table_changed`.
    """
    by_name = {t.name: t for t in schema.tables}
    for table in plan.tables:
        found = by_name.get(table.source)
        now = None if found is None else captured_table(found, table.key)
        if now is None or now.shape != table.shape or dict(now.triggers) != dict(table.triggers):
            raise Drift(
                f"Table {table.source!r} is not what it was when the run was planned.",
                detail="it is gone" if now is None else "its columns, keys or unique indexes changed",
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


def drop_triggers(conn: sqlite3.Connection) -> None:
    """Drop the capture triggers. Only inside a transaction that makes them again, or removes everything of ours."""
    for kind, name, _, _ in our_objects(conn):
        if kind == "trigger" and name.startswith(TRIGGERS):
            conn.execute(f"drop trigger {lite_ident(name)}")


def renew_triggers(conn: sqlite3.Connection) -> None:
    """Make the capture triggers again as they are, so that they are the newest: SQLite fires the newest first.

    Under OR FAIL, and under RAISE(FAIL), a row stays written although an AFTER trigger failed, and triggers that come
    after that one never fire. So every transaction of ours that makes triggers of the application ends with this.
    """
    texts = [sql for kind, name, _, sql in our_objects(conn) if kind == "trigger" and name.startswith(TRIGGERS)]
    drop_triggers(conn)
    for sql in texts:
        conn.execute(sql)


def behind_others(conn: sqlite3.Connection) -> set[str]:
    """Tables, in lower case, on which the application has a trigger newer than one of ours."""
    ours: dict[str, int] = {}
    theirs: dict[str, int] = {}
    for number, name, table in conn.execute("select rowid, name, tbl_name from sqlite_master where type = 'trigger'"):
        key = as_text(table).lower()
        if as_text(name).startswith(TRIGGERS):
            ours[key] = min(number, ours.get(key, number))
        elif not as_text(name).startswith(OURS):
            theirs[key] = max(number, theirs.get(key, number))
    return {table for table, oldest in ours.items() if theirs.get(table, 0) > oldest}


def must_compile(conn: sqlite3.Connection, table: str) -> None:
    """Raises Refused `capture_trigger_refused` when SQLite can't compile writes to this table."""
    words = refusal(conn, table)
    if words is not None:
        raise _refused(table, words)


def refusal(conn: sqlite3.Connection, table: str) -> str | None:
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


def remove(conn: sqlite3.Connection, control: Control) -> None:
    """Drop everything of ours inside the caller's transaction, and give the application its own triggers back."""
    objects = our_objects(conn)
    for kind, name, _, _ in objects:
        if kind == "trigger":
            conn.execute(f"drop trigger {lite_ident(name)}")
    for kind, name, _, _ in objects:
        if kind == "table":
            conn.execute(f"drop table {lite_ident(name)}")
    for trigger in json.loads(control.app_triggers):
        conn.execute(str(trigger["sql"]))

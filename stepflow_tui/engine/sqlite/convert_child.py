"""The child process that changes a database's journal mode or layout: one short try per request, each on a connection of its own.

Between two tries it holds no connection, no lock and no transaction. It is never killed in the middle of a try while its
parent lives; where it is (`kill -9`, a loss of power), SQLite's own journal keeps the old state, which the next opening brings
back, or the new state is there as a whole.
"""

from __future__ import annotations

import json
import os
import random
import re
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import Refused, StepFailed
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.connect import (
    open_application,
    open_converting,
    set_pragma,
    shown,
)
from stepflow_tui.engine.sqlite.conversation import answer_all
from stepflow_tui.engine.sqlite.exclusive import watch
from stepflow_tui.engine.sqlite.serving import text_path

_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
_REST_SECONDS = 0.002
_AUTO_VACUUM = ("none", "full", "incremental")

_working: list[sqlite3.Connection] = []
"""The connection of a VACUUM, so that it can be interrupted; short tries are left to end by themselves."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Dispatch one request: `try`, `watch` or `layout`."""
    path = text_path(request["path"])
    if request["op"] == "watch":
        return {"pid": watch(path, float(request["seconds"]))}
    same_file_or_refuse(path, (request["dev"], request["inode"]))
    done = layout(path, request) if request["op"] == "layout" else attempts(path, request)
    same_file_or_refuse(path, (request["dev"], request["inode"]))
    return done


def same_file_or_refuse(path: Path, identity: tuple[int, int]) -> None:
    """Look by name whether the file is still the one that was examined."""
    try:
        status = path.stat()
    except FileNotFoundError:
        status = None
    except OSError as error:
        raise StepFailed(f"{shown(path)} can't be looked at.", detail=str(error), hint="Look at the disk (dmesg), then run again.",
                         code="conversion_io") from error  # fmt: skip
    if status is None or (status.st_dev, status.st_ino) != identity:
        raise Refused(
            f"{shown(path)} was replaced by another file while it was worked on.",
            detail="another device or inode stands under its name",
            hint="Stop whatever replaces it (a restore, a deployment, a rename), look at the new file, then run again.",
            code="source_replaced",
        )


def attempts(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Tries in quick succession, none of which waits but the last: between two commits of a busy writer there is room for one.

    Returns:
        As `attempt`, and `tries`; `kept_out`: none of them could read; `waited`: seconds in which the last kept new readers out.
    """
    end = time.monotonic() + float(request["seconds"])
    tries, kept_out = 0, True
    while True:
        began = time.monotonic()
        tries, last = tries + 1, began >= end
        answer = attempt(path, request["to"], int(request["busy_ms"]) if last else 0)
        if "returned" in answer and request.get("note"):
            _note(text_path(request["note"]), answer)
        kept_out = kept_out and bool(answer.get("kept_out"))
        if last or not str(answer.get("failed", "")).startswith(_BUSY):
            waited = 0.0 if answer.get("kept_out") else time.monotonic() - began
            return {**answer, "tries": tries, "kept_out": kept_out, "waited": waited}
        time.sleep(random.uniform(0.5, 1.5) * _REST_SECONDS)  # noqa: S311 - spreads tries, guards no secret


def attempt(path: Path, to: str, busy_ms: int) -> dict[str, Any]:
    """One try: `returned`, the mode that SQLite names, or `failed`, its name of the error; `kept_out`: not even readable."""
    kept_out = True
    try:
        with closing(open_converting(path, busy_timeout_ms=busy_ms)) as conn:
            kept_out = False
            before = bytes_written()
            return {"returned": switch(conn, to), "written": _since(before)}
    except sqlite3.Error as error:
        return {**_failed(error), "kept_out": kept_out}


def _note(file: Path, answer: dict[str, Any]) -> None:
    """What was done, on disk before anybody hears of it: whoever waits for the answer may be killed meanwhile."""
    draft = file.with_name(f".{file.name}.partial")
    with (
        suppress(OSError),
        draft.open("w", encoding="ascii") as out,
    ):  # the conversion is done, whether it can be noted or not
        json.dump(answer, out)
        out.flush()
        os.fsync(out.fileno())
        draft.replace(file)


def switch(conn: sqlite3.Connection, to: str) -> str:
    """The mode the database is in afterwards, by its own answer: not always the one that was asked for, and no error then."""
    [returned] = conn.execute(f"PRAGMA journal_mode={to}").fetchone()
    return str(returned)


def bytes_written() -> int | None:
    """What this process has written so far, all of it; None where the system does not tell."""
    try:
        found = re.search(r"^wchar: (\d+)$", Path("/proc/self/io").read_text("ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def _since(before: int | None) -> int | None:
    """Bytes that the conversion itself has written: the first page and its journal, whatever the size of the file."""
    now = bytes_written()
    return None if before is None or now is None else now - before


def _failed(error: sqlite3.Error) -> dict[str, Any]:
    return {"failed": getattr(error, "sqlite_errorname", None) or type(error).__name__, "text": str(error)}


def layout(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Set page size and auto-vacuum by rewriting the file (`VACUUM`); `failed` as in `attempt`."""
    try:
        with closing(open_application(path, busy_timeout_ms=int(request["busy_ms"]))) as conn:
            renumbered = rows_to_renumber(conn)
            if renumbered:
                return {"renumbered": renumbered}
            _set_layout(conn, request["page_size"], request["auto_vacuum"])
            return {"done": True}
    except sqlite3.Error as error:
        return _failed(error)


def _set_layout(conn: sqlite3.Connection, page_size: int | None, auto_vacuum: str | None) -> None:
    # Neither answers what it will be: both count from the next VACUUM on.
    if page_size is not None:
        conn.execute(f"PRAGMA page_size={page_size}").fetchall()
    if auto_vacuum is not None:
        conn.execute(f"PRAGMA auto_vacuum={_AUTO_VACUUM.index(auto_vacuum)}").fetchall()
    set_pragma(conn, "cell_size_check", 1)
    _working.append(conn)
    try:
        conn.execute("VACUUM")
    finally:
        _working.clear()


def rows_to_renumber(conn: sqlite3.Connection) -> list[str]:
    """Tables whose rows would get other rowids by `VACUUM`: no INTEGER PRIMARY KEY, no index, and gaps in their numbers."""
    tables = conn.execute(
        "select name from sqlite_schema t where type='table' and rootpage>0 and name not like 'sqlite\\_%' escape '\\'"
        " and not exists (select 1 from sqlite_schema i where i.type='index' and i.tbl_name=t.name collate nocase)"
        " order by name"
    ).fetchall()
    return [name for (name,) in tables if _has_gaps(conn, name)]


def _has_gaps(conn: sqlite3.Connection, table: str) -> bool:
    columns = conn.execute(f"PRAGMA table_info({lite_ident(table)})").fetchall()
    # An INTEGER PRIMARY KEY is the rowid, and kept. (Any other primary key has an index or is WITHOUT ROWID.)
    if any(column[5] for column in columns):
        return False
    taken = {column[1].lower() for column in columns}
    name = next((n for n in ("rowid", "oid", "_rowid_") if n not in taken), None)
    if name is None:
        return False
    number = lite_ident(name)
    query = f"select count(*), coalesce(min({number}), 1), coalesce(max({number}), 0) from {lite_ident(table)}"
    count, first, last = conn.execute(query).fetchone()
    return bool((first, last) != (1, count))


def _interrupt() -> None:
    for conn in _working:
        with suppress(sqlite3.ProgrammingError):
            conn.interrupt()


if __name__ == "__main__":
    answer_all(answer, interrupt=_interrupt)

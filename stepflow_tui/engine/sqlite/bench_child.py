"""A child process of a benchmark: prepares scratch copies of a SQLite database, or is one of its clients."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.sqlite.bench_script import Request, Script, decoded_shape
from stepflow_tui.engine.sqlite.bench_turns import Tally, Turns, answer
from stepflow_tui.engine.sqlite.connect import file_uri
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.serving import text_path

_PAUSE_SECONDS = 0.001
"""After an answer that the database is locked: what asks again at once measures nothing but itself."""
_PORTION = 500
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def main() -> None:
    """Take turns until the parent is gone."""
    turns = Turns()
    client = Client(turns)
    while True:
        answer(turns, client.handle)


class Client:
    """Answers one message after the other."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._shape: dict[str, Any] = {}
        self._reading: Iterator[list[Any]] = iter(())

    def handle(self, message: dict[str, Any]) -> dict[str, Any]:
        """Raises StepFlowError, by its own code."""
        if message["op"] == "measure":
            return self._measure(message)
        if message["op"] == "shape":
            self._shape = decoded_shape(message["shape"])
            return {}
        if message["op"] == "keep":
            self._turns.orphaned = partial(shutil.rmtree, text_path(message["scratch"]), ignore_errors=True)
            return {}
        with sqlite_errors("The benchmark's copy"):
            if message["op"] == "rows":
                return {"rows": self._rows(message)}
            return _PREPARING[message["op"]](message)

    def _rows(self, message: dict[str, Any]) -> list[Any]:
        """The next rows of the copy that a message named before; [] at their end."""
        from stepflow_tui.engine.sqlite import bench_tables

        if message.get("copy") is not None:
            conn = _prepared(message)
            conn.text_factory = _replaced
            self._reading = bench_tables.rows_of(conn, message["copy"], _PORTION)
        return next(self._reading, [])

    def _measure(self, job: dict[str, Any]) -> dict[str, Any]:
        tally = Tally(job["seconds"])
        script = Script(self._shape, job["kind"], seed=job["seed"], first=job["first"], batch=job["batch"])
        try:
            conn = _open(job, self._shape)
        except sqlite3.Error as error:
            conn = None
            tally.failed(str(error), locked=_locked(error))
        self._turns.say({"ready": True})
        tally.begin(self._turns.next()["at"])
        if conn is not None:
            with closing(conn):
                while tally.going():
                    _ask(conn, self._shape["sql"], script.next(), tally)
        return tally.result()


def _replaced(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _open(job: dict[str, Any], shape: dict[str, Any]) -> sqlite3.Connection:
    """A connection as an application has it: opened long ago, the schema read, its settings made.

    Until then it waits for locks: whoever opens a WAL database meets those of the last one that closed it.
    """
    conn = sqlite3.connect(file_uri(text_path(job["path"]), "mode=rw"), uri=True, isolation_level=None, timeout=30)
    conn.execute("pragma trusted_schema=0").fetchall()
    conn.text_factory = bytes  # values are fetched, not read
    for name, value in job["pragmas"].items():
        conn.execute(f"pragma {name}={value}").fetchall()
    conn.execute(shape["sql"]["point"], tuple(shape["keys"][0])).fetchall()
    conn.execute(f"pragma busy_timeout={job['timeout_ms']}").fetchall()
    return conn


def _ask(conn: sqlite3.Connection, sql: dict[str, str], request: Request, tally: Tally) -> None:
    began = time.perf_counter_ns()
    try:
        _run(conn, sql, request)
    except sqlite3.Error as error:
        if conn.in_transaction:
            conn.execute("rollback")
        tally.failed(str(error), locked=_locked(error))
        time.sleep(_PAUSE_SECONDS)
    else:
        tally.done(time.perf_counter_ns() - began, request.operations, request.inserted)


def _run(conn: sqlite3.Connection, sql: dict[str, str], request: Request) -> None:
    if len(request.statements) == 1:
        [(name, values)] = request.statements
        conn.execute(sql[name], values).fetchall()
        return
    conn.execute("begin immediate")
    for name, values in request.statements:
        conn.execute(sql[name], values)
    conn.execute("commit")


def _locked(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _LOCKED


def _copy(message: dict[str, Any]) -> dict[str, Any]:
    shutil.copyfile(text_path(message["path"]), text_path(message["to"]))
    return {}


def _find(message: dict[str, Any]) -> dict[str, Any]:
    """Choose the tables, and make what the loads need beside them. The copy is in rollback mode then."""
    from stepflow_tui.engine.sqlite import bench_shape, bench_tables

    with closing(_prepared(message)) as conn:
        conn.execute("pragma journal_mode=delete").fetchall()
        shape = bench_shape.find_shape(conn, most_rows=message["most_rows"])
        plain = bench_shape.plain_shape(shape)
        if message["sides"]:
            plain |= bench_tables.for_both_sides(conn, shape, plain)
        return {"shape": plain, "sqlite": sqlite3.sqlite_version}


def _mode(message: dict[str, Any]) -> dict[str, Any]:
    with closing(_prepared(message)) as conn:
        [mode] = conn.execute(f"pragma journal_mode={message['mode']}").fetchone()
    if mode != message["mode"]:
        raise StepFailed(
            f"The benchmark's copy can't be put into journal mode {message['mode']}.",
            detail=f"SQLite answers {mode}",
            hint="Let the benchmark work on another file system: --state names the state directory.",
            code="benchmark_mode_refused",
        )
    return {}


def _count(message: dict[str, Any]) -> dict[str, Any]:
    with closing(_prepared(message)) as conn:
        return {"rows": conn.execute(message["sql"]).fetchone()[0]}


def _prepared(message: dict[str, Any]) -> sqlite3.Connection:
    conn = sqlite3.connect(file_uri(text_path(message["path"]), "mode=rw"), uri=True, isolation_level=None, timeout=30)
    conn.execute("pragma trusted_schema=0").fetchall()
    return conn


_PREPARING = {"copy": _copy, "find": _find, "mode": _mode, "count": _count}


if __name__ == "__main__":
    main()

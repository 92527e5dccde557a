"""The application on SQLite: every statement with the conflict clause itself, so that what it removes fires what SQLite fires."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fleet.model import Change, Conflict, Drop, Effect, Mode, Put, Simple
from tests.fleet.schema import OWNED, Key, Row, lite
from tests.fleet.sides import Busy, Fenced, Surprise

_CLAUSE = {
    Mode.REPLACE: " or replace",
    Mode.IGNORE: " or ignore",
    Mode.FAIL: " or fail",
    Mode.ABORT: " or abort",
    Mode.ROLLBACK: " or rollback",
}


class LiteSide:
    """One connection. `deferred`: transactions begin with BEGIN, so that the first write may find itself too late."""

    name = "sqlite"

    def __init__(self, path: Path, *, recursive: bool = False, deferred: bool = False) -> None:
        self.recursive = recursive
        self._begin = "begin" if deferred else "begin immediate"
        self._connection = lite(path, recursive=recursive, timeout=5)

    async def begin(self) -> None:
        """Start a transaction."""
        self._execute(self._begin)

    async def commit(self) -> None:
        """End it. In rollback-journal mode a reader may hold it up: then it is tried again, never given up half way."""
        while True:
            try:
                self._connection.execute("commit")
            except sqlite3.OperationalError as exc:
                if not _busy(exc):
                    raise
                await asyncio.sleep(0.005)
            else:
                return

    async def rollback(self) -> None:
        """Undo it, if it is still open."""
        if self._connection.in_transaction:
            self._connection.execute("rollback")

    async def savepoint(self, name: str) -> None:
        """Start a part that can be undone."""
        self._execute(f"savepoint {name}")

    async def rollback_to(self, name: str) -> None:
        """Undo a part."""
        self._execute(f"rollback to {name}")
        self._execute(f"release {name}")

    async def run(self, action: Simple, effects: list[Effect], conflict: Conflict | None) -> None:
        """Carry out the statement and see that it does what it must.

        Raises:
            Busy, Fenced, Surprise: see there.
        """
        sql, values = _statement(action)
        try:
            cursor = self._execute(sql, values)
        except sqlite3.IntegrityError as exc:
            if conflict is None:
                raise Surprise(f"{sql} {values}: {exc}") from exc
            return
        if conflict is not None:
            raise Surprise(f"{sql} {values}: no conflict with {conflict.row}")
        touched = sum(e.verb in (("delete",) if isinstance(action, Drop) else ("insert", "update")) for e in effects)
        if cursor.rowcount != touched:
            raise Surprise(f"{sql} {values}: {cursor.rowcount} rows instead of {touched}")

    async def event(self, w: int, v: int, kind: str) -> None:
        """The transaction's own row, with a number from the database."""
        self._execute("insert into event(w, v, kind) values (?, ?, ?)", (w, v, kind))

    async def increment(self, counter: str) -> int:
        """Count; returns the new number."""
        found = self._execute("update counter set n = n + 1 where name = ? returning n", (counter,)).fetchall()
        if len(found) != 1:
            raise Surprise(f"counter {counter}: {found}")
        return int(found[0][0])

    async def share(self, row: Row | None, k: str) -> None:
        """Write or (None) delete a row that every writer writes."""
        if row is None:
            self._execute("delete from shared where k = ?", (k,))
        elif row["rev"] % 2:
            self._execute("replace into shared(k, rev, w, v, note) values (?, ?, ?, ?, ?)", tuple(row.values()))
        else:
            self._execute(
                "insert into shared(k, rev, w, v, note) values (?, ?, ?, ?, ?) on conflict(k) do update"
                " set rev = excluded.rev, w = excluded.w, v = excluded.v, note = excluded.note",
                tuple(row.values()),
            )

    async def own(self, table: str, w: int) -> dict[Key, list[Row]]:
        """All rows of a writer."""
        spec, found = OWNED[table], {}
        for values in self._execute(f"select {', '.join(spec.columns)} from {table} where w = ?", (w,)):
            row = dict(zip(spec.columns, values, strict=True))
            found.setdefault(spec.key_of(row), []).append(row)
        return found

    async def happened(self, w: int, v: int) -> bool:
        """Whether the transaction was committed."""
        return bool(self._execute("select 1 from event where w = ? and v = ?", (w, v)).fetchone())

    async def owner(self) -> str:
        """Who owns writes, by the control row; `sqlite` where there is none."""
        try:
            row = self._execute("select owner, fenced from _sf_ctl").fetchone()
        except sqlite3.OperationalError as exc:
            if "no such table" in str(exc):
                return "sqlite"
            raise
        return "nobody" if row[1] and row[0] == "sqlite" else str(row[0])

    async def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _execute(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        with _answers():
            return self._connection.execute(sql, values)


@contextlib.contextmanager
def _answers() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as exc:
        if _busy(exc):
            raise Busy(str(exc)) from exc
        raise
    except sqlite3.IntegrityError as exc:
        if "stepflow" in str(exc):
            raise Fenced(str(exc)) from exc
        raise


def _busy(exc: sqlite3.OperationalError) -> bool:
    # a schema that changed under a prepared statement is answered like a lock: by trying again
    return any(word in str(exc) for word in ("locked", "busy", "schema has changed"))


def _statement(action: Simple) -> tuple[str, tuple[Any, ...]]:
    spec = OWNED[action.table]
    match action:
        case Put():
            columns = tuple(action.rows[0])
            marks = f"({', '.join('?' * len(columns))})"
            sql = f"insert{_CLAUSE.get(action.mode, '')} into {spec.name}({', '.join(columns)}) values {', '.join([marks] * len(action.rows))}"
            if action.mode is Mode.UPSERT and spec.name != "loose":
                changed = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in spec.key)
                sql += f" on conflict({', '.join(spec.key)}) do update set {changed}"
            elif action.mode is Mode.NOTHING:
                sql += " on conflict do nothing"
            return sql, tuple(row[c] for row in action.rows for c in columns)
        case Change():
            sets = ", ".join(f"{c} = ?" for c in action.changes)
            where, values = _where(spec.key, action.keys)
            sql = f"update{_CLAUSE.get(action.mode, '')} {spec.name} set {sets} where {where}"
            return sql, (*action.changes.values(), *values)
        case Drop():
            where, values = _where(spec.key, action.keys)
            return f"delete from {spec.name} where {where}", values


def _where(columns: tuple[str, ...], keys: tuple[Key, ...]) -> tuple[str, tuple[Any, ...]]:
    one = "(" + " and ".join(f"{c} = ?" for c in columns) + ")"
    return " or ".join([one] * len(keys)), tuple(v for key in keys for v in key)

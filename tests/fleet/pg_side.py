"""The application on PostgreSQL: the same transactions in that database's own statements."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import asyncpg

from tests.fleet.model import Change, Conflict, Effect, Mode, Put, Simple
from tests.fleet.schema import OWNED, Key, Row
from tests.fleet.sides import Busy, Fenced, Lost, Surprise
from tests.fleet.values import common, spelled

_RETRY = {"40001", "40P01", "55P03"}
_GONE = {"57P01", "57P02", "57P03", "08000", "08001", "08003", "08006", "53300"}
_TABLES = (*OWNED, "event", "counter", "shared", "audit")


class PgSide:
    """One connection, made when it is first needed and again after it was lost."""

    name = "postgresql"
    recursive = True

    def __init__(self, dsn: str, schema: str = "public") -> None:
        self._dsn = dsn
        self._schema = schema
        self._connection: asyncpg.Connection | None = None
        self._kinds: dict[str, dict[str, str]] = {}
        self._session: tuple[int, Any] = (0, None)

    async def begin(self) -> None:
        """Start a transaction."""
        await self._ready()
        await self._execute("begin")

    async def commit(self) -> None:
        """End it.

        Raises:
            Lost: with `committing`, the outcome is unknown: ask `happened`.
        """
        async with self._answers(committing=True):
            await self._live.execute("commit")

    async def rollback(self) -> None:
        """Undo it, if there is one."""
        if self._connection is None or self._connection.is_closed():
            return
        with contextlib.suppress(Lost):
            await self._execute("rollback")

    async def savepoint(self, name: str) -> None:
        """Start a part that can be undone."""
        await self._execute(f"savepoint {name}")

    async def rollback_to(self, name: str) -> None:
        """Undo a part."""
        await self._execute(f"rollback to {name}")
        await self._execute(f"release {name}")

    async def run(self, action: Simple, effects: list[Effect], conflict: Conflict | None) -> None:
        """Bring about the statement's effects, then the conflict that ends it, if one does.

        Raises:
            Busy, Fenced, Lost, Surprise: see there.
        """
        native = isinstance(action, Put) and action.mode is Mode.UPSERT and conflict is None
        for effect in effects:
            await self._effect(effect, upsert=native and effect.verb == "update")
        if conflict is not None:
            await self._refused(action, conflict)

    async def event(self, w: int, v: int, kind: str) -> None:
        """The transaction's own row, with a number from the database."""
        await self._insert("event", {"w": w, "v": v, "kind": kind})

    async def increment(self, counter: str) -> int:
        """Count; returns the new number."""
        async with self._answers():
            number = await self._live.fetchval(
                f"update {self._name('counter')} set n = n + 1 where name = $1 returning n", counter
            )
        if number is None:
            raise Surprise(f"counter {counter} is missing")
        return int(number)

    async def share(self, row: Row | None, k: str) -> None:
        """Write or (None) delete a row that every writer writes."""
        if row is None:
            await self._execute(f"delete from {self._name('shared')} where k = $1", k)
        else:
            set_ = ", ".join(f"{c} = excluded.{c}" for c in row if c != "k")
            await self._insert("shared", row, f"on conflict (k) do update set {set_}")

    async def own(self, table: str, w: int) -> dict[Key, list[Row]]:
        """All rows of a writer, in the common form of values."""
        await self._ready()
        spec, kinds = OWNED[table], self._kinds[table]
        found: dict[Key, list[Row]] = {}
        async with self._answers():
            records = await self._live.fetch(
                f"select {', '.join(spec.columns)} from {self._name(table)} where w = $1", w
            )
        for record in records:
            row = {c: common(record[c], kinds[c]) for c in spec.columns}
            found.setdefault(tuple(record[c] for c in spec.key), []).append(row)
        return found

    def in_common(self, table: str, row: Row) -> Row:
        """A model's row in the form `own` gives."""
        return {c: common(value, self._kinds[table][c]) for c, value in row.items()}

    async def happened(self, w: int, v: int) -> bool:
        """Whether the transaction was committed: asked once the session that sent COMMIT has ended."""
        pid, since = self._session
        while True:
            try:
                await self._ready()
                async with self._answers():
                    while await self._live.fetchval(
                        "select 1 from pg_stat_activity where pid = $1 and backend_start = $2", pid, since
                    ):
                        await asyncio.sleep(0.02)
                    return bool(
                        await self._live.fetchval(f"select 1 from {self._name('event')} where w=$1 and v=$2", w, v)
                    )
            except Lost:
                await asyncio.sleep(0.05)

    async def open_for_writes(self) -> bool:
        """Whether the gate lets applications write."""
        await self._ready()
        async with self._answers():
            if await self._live.fetchval("select to_regclass('_stepflow.gate')") is None:
                return False
            row = await self._live.fetchrow("select owner, writes from _stepflow.gate")
        return row is not None and tuple(row) == ("postgresql", "open")

    async def close(self) -> None:
        """End the connection."""
        if self._connection is not None and not self._connection.is_closed():
            self._connection.terminate()

    async def _effect(self, effect: Effect, *, upsert: bool) -> None:
        spec = OWNED[effect.table]
        where, keys = self._where(spec.name, effect.key)
        match effect.verb:
            case "insert":
                await self._insert(spec.name, effect.row or {})
            case "skip":
                await self._insert(spec.name, effect.row or {}, "on conflict do nothing", expected=0)
            case "update" if upsert:
                await self._upsert(spec.name, effect)
            case "update":
                sets, values = self._sets(spec.name, effect.row or {}, len(keys))
                await self._counted(f"update {self._name(spec.name)} set {sets} where {where}", *keys, *values)
            case "delete":
                await self._counted(f"delete from {self._name(spec.name)} where {where}", *keys)

    async def _refused(self, action: Simple, conflict: Conflict) -> None:
        """Send what must be refused; it leaves nothing but an aborted part of the transaction."""
        await self.savepoint("refused")
        for effect in conflict.attempted:
            await self._effect(effect, upsert=False)
        try:
            if isinstance(action, Change):
                spec = OWNED[action.table]
                where, keys = self._where(spec.name, action.keys[0])
                sets, values = self._sets(spec.name, action.changes, len(keys))
                await self._execute(f"update {self._name(spec.name)} set {sets} where {where}", *keys, *values)
            else:
                await self._insert(conflict.table, conflict.row)
        except asyncpg.UniqueViolationError:
            await self.rollback_to("refused")
        else:
            raise Surprise(f"no conflict with {conflict.row} in {conflict.table}")

    async def _upsert(self, table: str, effect: Effect) -> None:
        spec, row = OWNED[table], effect.row or {}
        set_ = ", ".join([f"{c} = excluded.{c}" for c in row] + (["updated_at = excluded.updated_at"] if table == "item" else []))  # fmt: skip
        whole = dict(zip(spec.key, effect.key, strict=True)) | row
        await self._insert(table, whole, f"on conflict ({', '.join(spec.key)}) do update set {set_}", touched=table == "item")  # fmt: skip

    async def _insert(
        self, table: str, row: Row, conflict: str = "", *, expected: int = 1, touched: bool = False
    ) -> None:
        columns, kinds = list(row), self._kinds[table]
        values = [f"${i}::text::{kinds[c]}" for i, c in enumerate(columns, 1)]
        if touched:
            columns.append("updated_at")
            values.append(_NOW)
        sql = f"insert into {self._name(table)}({', '.join(columns)}) values ({', '.join(values)}) {conflict}"
        await self._counted(sql, *(spelled(row[c], kinds[c]) for c in row), expected=expected)

    async def _counted(self, sql: str, *values: Any, expected: int = 1) -> None:
        answer = await self._execute(sql, *values)
        if int(answer.rpartition(" ")[2]) != expected:
            raise Surprise(f"{sql} {values}: {answer}")

    def _sets(self, table: str, changes: Row, before: int) -> tuple[str, list[str | None]]:
        kinds = self._kinds[table]
        parts = [f"{c} = ${i}::text::{kinds[c]}" for i, c in enumerate(changes, before + 1)]
        # SQLite has a trigger for it that PostgreSQL would fire without end: here the application does it
        parts += [f"updated_at = {_NOW}"] if table == "item" else []
        return ", ".join(parts), [spelled(v, kinds[c]) for c, v in changes.items()]

    def _where(self, table: str, key: Key) -> tuple[str, list[str | None]]:
        kinds = self._kinds[table]
        columns = OWNED[table].key
        return (
            " and ".join(f"{c} = ${i}::text::{kinds[c]}" for i, c in enumerate(columns, 1)),
            [spelled(v, kinds[c]) for c, v in zip(columns, key, strict=True)],
        )

    def _name(self, table: str) -> str:
        return f'"{self._schema}"."{table}"'

    @property
    def _live(self) -> asyncpg.Connection:
        if self._connection is None:
            raise Lost("not connected")
        return self._connection

    async def _ready(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            return
        async with self._answers():
            # no statement cache: plans made before the cutover's DDL must not be used after it
            self._connection = await asyncpg.connect(self._dsn, timeout=10, statement_cache_size=0)
            self._kinds = await self._types(_TABLES)
            row = await self._connection.fetchrow(
                "select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()"
            )
            self._session = (row["pid"], row["backend_start"])

    async def _types(self, tables: Iterable[str]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {t: {} for t in tables}
        rows = await self._live.fetch(
            "select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a"
            " join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = $1 and c.relname = any($2) and a.attnum > 0 and not a.attisdropped",
            self._schema, list(found),
        )  # fmt: skip
        for table, column, kind in rows:
            found[table][column] = kind
        return found

    async def _execute(self, sql: str, *values: Any) -> str:
        async with self._answers():
            return str(await self._live.execute(sql, *values))

    @contextlib.asynccontextmanager
    async def _answers(self, *, committing: bool = False) -> AsyncIterator[None]:
        try:
            yield
        except asyncpg.PostgresError as exc:
            code = getattr(exc, "sqlstate", "") or ""
            if code == "SF001":
                raise Fenced(str(exc)) from exc
            if code in _RETRY:
                raise Busy(str(exc)) from exc
            if code in _GONE:
                await self.close()
                raise Lost(str(exc), committing=committing) from exc
            raise
        except (OSError, asyncpg.InterfaceError, TimeoutError, EOFError) as exc:
            if isinstance(exc, ValueError):  # a value the driver refuses: our mistake, no lost connection
                raise
            await self.close()
            raise Lost(repr(exc), committing=committing) from exc


_NOW = "date_trunc('second', now() at time zone 'utc')"

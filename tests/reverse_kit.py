"""A cut-over pair by hand: a fenced SQLite file, the same rows in PostgreSQL, the reverse log, and both compared."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg

from stepflow_tui.engine.bulk.exact import encoder
from stepflow_tui.engine.bulk.reader import exact_columns, exact_values
from stepflow_tui.engine.bulk.values import Value
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.live.reverse import Reverse, ReverseJob
from stepflow_tui.engine.model.control import FreeRunning
from stepflow_tui.engine.model.live import ROWID_COLUMN, Lag, Owner
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.model.types import ColumnType
from stepflow_tui.engine.plan.capture import capture_plan
from stepflow_tui.engine.plan.quote import lite_ident, pg_ident, pg_name
from stepflow_tui.engine.postgres import changelog, control, fence
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.live_tables import install_live
from stepflow_tui.engine.postgres.reverse_rows import Blocker
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite import fence as lite_fence
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.connect import open_living
from tests.copy_kit import INTEGER, make_file, plan_table

RUN = "reverse-20260101T000000-0001"
_CODECS = {"UTF-8": "utf-8", "UTF-16LE": "utf-16-le", "UTF-16BE": "utf-16-be"}


@dataclass(kw_only=True)
class Pair:
    """Both sides after a cutover: SQLite fenced, PostgreSQL open, the way back prepared."""

    job: ReverseJob
    reverse: Reverse

    def lite(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the file."""
        with closing(sqlite3.connect(self.job.source)) as conn:
            return conn.execute(sql, values).fetchall()

    async def pg(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """A statement of the application's."""
        conn = await self.job.target.connect()
        try:
            return [tuple(row) for row in await conn.fetch(sql, *values)]
        finally:
            await conn.close()

    async def lag(self) -> Lag:
        """What is not brought over yet."""
        conn = await self.job.target.connect()
        try:
            return await self.reverse.lag(conn)
        finally:
            await conn.close()

    async def blockers(self) -> list[Blocker]:
        """The rows that stand in the way."""
        conn = await self.job.target.connect()
        try:
            return await self.reverse.blockers(conn)
        finally:
            await conn.close()

    async def differences(self) -> list[str]:
        """Every row that is missing, extra or stale in the file: it is sent as the copy would, and both are compared."""
        conn = await self.job.target.connect()
        try:
            found = []
            for table in self.job.tables:
                found += await _differences(conn, self.job, table)
            return found
        finally:
            await conn.close()


async def _differences(conn: asyncpg.Connection, job: ReverseJob, table: TablePlan) -> list[str]:
    names = ", ".join(pg_ident(c.target) for c in table.copied)
    columns = ", ".join(f"{pg_ident(c.target)} {c.type.sql}" for c in table.copied)
    theirs = f"(select whole_row::text from (select {names} from {pg_name(table.schema, table.name)}) whole_row)"
    ours = "(select whole_row::text from sent whole_row)"
    async with conn.transaction():
        await conn.execute(f"create temp table sent ({columns}) on commit drop")
        await send_rows(conn, "sent", table, lite_rows(job, table))
        missing = await conn.fetch(f"{theirs} except all {ours}")
        extra = await conn.fetch(f"{ours} except all {theirs}")
    return [*(f"{table.source} lacks {r[0]}" for r in missing), *(f"{table.source} has {r[0]}" for r in extra)]


def lite_rows(job: ReverseJob, table: TablePlan) -> list[tuple[Value | None, ...]]:
    """The file's rows as they are stored."""
    wide = job.codec != "utf-8"
    columns = exact_columns([lite_ident(c.source) for c in table.copied], wide=wide)
    with closing(open_living(job.source, exact_rows=True)) as conn:
        return [exact_values(r, job.codec) for r in conn.execute(f"select {columns} from {lite_ident(table.source)}")]


async def send_rows(
    conn: asyncpg.Connection, name: str, table: TablePlan, rows: Iterable[Sequence[Value | None]]
) -> None:
    """Insert rows as the copy converts them."""
    encoders = [encoder(c, replace=False) for c in table.copied]
    marks = ", ".join(f"${i + 1}::text::{c.type.sql}" for i, c in enumerate(table.copied))
    names = ", ".join(pg_ident(c.target) for c in table.copied)
    lines = []
    for row in rows:
        fields = [None if v is None else encode(v) for encode, v in zip(encoders, row, strict=True)]
        lines.append([None if f is None else f.decode() if isinstance(f, bytes) else b"".join(f.pieces()).decode() for f in fields])  # fmt: skip
    await conn.executemany(f"insert into {name} ({names}) values ({marks})", lines)


def live_table(path: Path, table: str, types: Mapping[str, ColumnType], **changes: Any) -> TablePlan:
    """The plan of a captured table: its key is the primary key where that never holds NULL, else the row number."""
    plan = plan_table(path, table, types)
    with closing(sqlite3.connect(path)) as conn:
        nullable = {
            name
            for name, required in conn.execute('select name, "notnull" from pragma_table_xinfo(?)', (table,))
            if not required
        }
    if plan.rowid_alias or plan.without_rowid or (plan.primary_key and not nullable & set(plan.primary_key)):
        return replace(plan, live_key=plan.primary_key, **changes)
    assert plan.rowid_name is not None
    column = ColumnPlan(
        source=plan.rowid_name, target=ROWID_COLUMN, declared="INTEGER", type=INTEGER, not_null=True, identity=True
    )
    columns = (column, *plan.columns)
    return replace(plan, columns=columns, live_key=(plan.rowid_name,), rowid_column=ROWID_COLUMN, **changes)


def target_sql(table: TablePlan, extra: str = "") -> str:
    """The target's table with the key of the live run."""
    parts = [
        f"{pg_ident(c.target)} {c.type.sql}"
        + (" generated by default as identity" if c.identity else "")
        + (f" generated always as ({c.generated}) stored" if c.generated else "")
        for c in table.columns
    ]
    key = ", ".join(pg_ident(name) for name in table.live_targets)
    return f"create table {pg_name(table.schema, table.name)} ({', '.join(parts)}, primary key ({key}){extra})"


@asynccontextmanager
async def cut_over(
    path: Path,
    target: Target,
    *tables: TablePlan,
    encoding: str = "UTF-8",
    extra: Mapping[str, str] | None = None,
    **changes: Any,
) -> AsyncIterator[Pair]:
    """Everything a cutover does, in its order; at the end the application may write to PostgreSQL."""
    job = ReverseJob(run=RUN, source=path, target=target, tables=tables, encoding=encoding, **changes)
    await install_capture(path, tables)
    conn = await target.connect()
    try:
        await control.install(conn, RUN)
        await install_live(conn)
        for table in tables:
            await conn.execute(target_sql(table, (extra or {}).get(table.source, "")))
            await send_rows(conn, pg_name(table.schema, table.name), table, lite_rows(job, table))
            await _continue_identity(conn, table)
        await fence.install_gate(conn, tables, wait=5)
        await lite_fence.raise_fence(path, [t.source for t in tables], wait=5)
        snapshot = await changelog.install_changelog(conn, tables, wait=5)
        reverse = new_reverse(job)
        await reverse.seed(snapshot)
        gate = await fence.gate_state(conn)
        await fence.open_writes(conn, tables, version=gate.version, wait=5)
    finally:
        await conn.close()
    await lite_fence.set_owner(path, Owner.POSTGRESQL, wait=5)
    try:
        yield Pair(job=job, reverse=reverse)
    finally:
        await reverse.close()


def new_reverse(job: ReverseJob) -> Reverse:
    """The way back as an engine makes it."""
    return Reverse(job, control=FreeRunning(), clock=SystemClock())


async def install_capture(path: Path, tables: Sequence[TablePlan]) -> None:
    """Change capture as the run installs it."""
    with closing(open_living(path)) as conn:
        schema = read_schema(conn)
    await capture.install(path, capture_plan(schema, tables), RUN)


async def _continue_identity(conn: asyncpg.Connection, table: TablePlan) -> None:
    for column in table.columns:
        if column.identity:
            name = pg_name(table.schema, table.name)
            await conn.execute(
                f"select setval(pg_get_serial_sequence($1, $2), greatest((select max({pg_ident(column.target)}) from {name}), 1))",
                name, column.target,
            )  # fmt: skip


def new_file(
    tmp_path: Path, script: str, rows: Mapping[str, Iterable[Sequence[Any]]] | None = None, encoding: str = "UTF-8"
) -> Path:
    """A SQLite file in WAL mode, as applications under load have it."""
    path = make_file(tmp_path / "app.db", script, rows, encoding)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("pragma journal_mode=wal")
    return path

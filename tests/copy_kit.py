"""Small copies by hand: a SQLite file, a plan written as types per column, the ledger, and what arrived."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stepflow_tui.engine.bulk.copy import CopyJob, CopyResult, copy_tables
from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.bulk.segments import ledger_rows, plan_segments
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.model.control import Control, FreeRunning, Report, silent
from stepflow_tui.engine.model.discrepancy import Reject
from stepflow_tui.engine.model.plan import (
    ColumnFacts,
    ColumnPlan,
    Compare,
    CompareKind,
    TableFacts,
    TablePlan,
    Walk,
    WalkKind,
)
from stepflow_tui.engine.model.types import ColumnType, Kind
from stepflow_tui.engine.plan.declared import affinity
from stepflow_tui.engine.plan.kinds import term
from stepflow_tui.engine.plan.quote import lite_ident, pg_ident, pg_name
from stepflow_tui.engine.postgres import control, ledger
from stepflow_tui.engine.postgres.connect import Target

RUN = "copy-20260101T000000-0001"

INTEGER = ColumnType(kind=Kind.INTEGER, sql="bigint")
REAL = ColumnType(kind=Kind.REAL, sql="double precision")
TEXT = ColumnType(kind=Kind.TEXT, sql="text")
BLOB = ColumnType(kind=Kind.BLOB, sql="bytea")
BOOLEAN = ColumnType(kind=Kind.BOOLEAN, sql="boolean")


def make_file(
    path: Path, script: str, rows: Mapping[str, Iterable[Sequence[Any]]] | None = None, encoding: str = "UTF-8"
) -> Path:
    """A SQLite file; values of a row are bound one by one."""
    connection = sqlite3.connect(path)
    connection.execute(f"pragma encoding='{encoding}'")
    connection.executescript(script)
    for table, values in (rows or {}).items():
        for row in values:
            connection.execute(f"insert into {lite_ident(table)} values ({','.join('?' * len(row))})", row)
    connection.commit()
    connection.close()
    return path


def plan_table(path: Path, table: str, types: Mapping[str, ColumnType], **changes: Any) -> TablePlan:
    """The plan of a table; columns named in `types` are copied, in the file's order."""
    connection = sqlite3.connect(path)
    info = connection.execute("select name, type, pk from pragma_table_xinfo(?) order by cid", (table,)).fetchall()
    sql = connection.execute("select sql from sqlite_schema where name=?", (table,)).fetchone()[0]
    connection.close()
    without = "without rowid" in sql.lower()
    key = tuple(name for name, _, pk in sorted(info, key=lambda c: c[2]) if pk)
    alias = (
        key[0] if len(key) == 1 and not without and {n: t for n, t, _ in info}[key[0]].upper() == "INTEGER" else None
    )
    taken = {name.lower() for name, _, _ in info}
    free = next((n for n in ("rowid", "_rowid_", "oid") if n not in taken), None)
    if without:
        walk = Walk(kind=WalkKind.PRIMARY, columns=key)
    elif alias or free:
        walk = Walk(kind=WalkKind.ROWID, columns=(alias or free or "",))
    else:
        walk = Walk(kind=WalkKind.SINGLE)
    columns = tuple(
        ColumnPlan(source=name, target=name, declared=declared, type=types[name])
        for name, declared, _ in info
        if name in types
    )
    plan = TablePlan(
        source=table, schema="public", name=table, columns=columns, walk=walk,
        compare=Compare(kind=CompareKind.MULTISET), primary_key=key, without_rowid=without, rowid_alias=alias, rowid_name=free,
    )  # fmt: skip
    return replace(plan, **changes)


def count_facts(path: Path, table: TablePlan, *, utf16: bool = False, honest: bool = True) -> TableFacts:
    """Violations and lengths as the census counts them; a dishonest one says there are no violations."""
    connection = sqlite3.connect(path)
    name = lite_ident(table.source)
    columns = {}
    for column in table.copied:
        x = lite_ident(column.source)
        text = term(column.source, column.type, affinity=affinity(column.declared), utf16=utf16, nullable=not column.not_null,
                    rowid_alias=column.source == table.rowid_alias)  # fmt: skip
        bad = connection.execute(f"select count(*) from {name} where ({text}) is not 1").fetchone()[0] if text else 0
        mean, longest = connection.execute(
            f"select avg(length(cast({x} as blob))), max(length(cast({x} as blob))) from {name}"
        ).fetchone()
        columns[column.source] = ColumnFacts(violations=bad if honest else 0, mean_bytes=mean or 0.0, max_bytes=longest)
    rows = connection.execute(f"select count(*) from {name}").fetchone()[0]
    bad = _undecodable(connection, table) if honest and not utf16 and table.walk.kind is WalkKind.ROWID else ()
    connection.close()
    return TableFacts(rows=rows, columns=columns, bad_rowids=bad)


def _undecodable(connection: sqlite3.Connection, table: TablePlan) -> tuple[int, ...]:
    found = set()
    for column in table.copied:
        x, k = lite_ident(column.source), lite_ident(table.walk.columns[0])
        for key, raw in connection.execute(
            f"select {k}, cast({x} as blob) from {lite_ident(table.source)} where typeof({x})='text'"
        ):
            try:
                raw.decode()
            except UnicodeDecodeError:
                found.add(key)
    return tuple(sorted(found))


def create_sql(table: TablePlan) -> str:
    """The target's table without keys."""
    parts = [
        f"{pg_ident(c.target)} {c.type.sql}"
        + (" not null" if c.not_null else "")
        + (f" generated always as ({c.generated}) stored" if c.generated else "")
        for c in table.columns
    ]
    return f"create table {pg_name(table.schema, table.name)} ({', '.join(parts)})"


async def prepare(job: CopyJob) -> CopyJob:
    """Make the tables and the ledger; returns the job with its epoch."""
    connection = await job.target.connect()
    try:
        await control.install(connection, job.run)
        epoch = await control.raise_epoch(connection, job.run)
        first = 0
        for table in job.tables:
            await connection.execute(create_sql(table))
            found = plan_segments(job.frozen, table, job.table_facts(table), encoding=job.encoding,
                                  max_rows_per_second=job.max_rows_per_second)  # fmt: skip
            rows = ledger_rows(found, first=first)
            first += len(rows)
            await ledger.add_segments(connection, job.run, epoch, rows)
    finally:
        await connection.close()
    return replace(job, epoch=epoch)


def make_job(path: Path, target: Target, *tables: TablePlan, honest: bool = True, **changes: Any) -> CopyJob:
    """A job over a file; facts are counted."""
    encoding = changes.get("encoding", "UTF-8")
    facts = {t.source: count_facts(path, t, utf16=encoding != "UTF-8", honest=honest) for t in tables}
    job = CopyJob(run=RUN, epoch=0, frozen=path, target=target, tables=tables, facts=facts, streams=1, load=None)
    return replace(job, **changes)


async def run_copy(
    job: CopyJob, *, control: Control | None = None, report: Report = silent, pool: WorkerPool | None = None
) -> CopyResult:
    """Copy what is open."""
    return await copy_tables(job, control=control or FreeRunning(), report=report, clock=SystemClock(), pool=pool)


async def copy_file(path: Path, target: Target, *tables: TablePlan, **changes: Any) -> CopyResult:
    """The whole copy of a file."""
    return await run_copy(await prepare(make_job(path, target, *tables, **changes)))


async def fetch(target: Target, sql: str, *args: Any) -> list[tuple[Any, ...]]:
    """Rows of the target."""
    connection = await target.connect()
    try:
        return [tuple(row) for row in await connection.fetch(sql, *args)]
    finally:
        await connection.close()


async def rejects_of(target: Target) -> list[Reject]:
    """The refused rows."""
    connection = await target.connect()
    try:
        return await ledger.rejects(connection, RUN)
    finally:
        await connection.close()

"""A small table on both sides: values of one kind beside a key, written by hand, without the copy."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stepflow_tui.engine.bulk.copy import CopyJob, copy_tables
from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.bulk.segments import ledger_rows, plan_segments
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.control import FreeRunning, silent
from stepflow_tui.engine.model.discrepancy import Reject, TableVerdict
from stepflow_tui.engine.model.plan import (
    ColumnFacts,
    ColumnPlan,
    Compare,
    CompareKind,
    Plan,
    Stage,
    TableFacts,
    TablePlan,
    Walk,
    WalkKind,
)
from stepflow_tui.engine.model.types import ColumnType, DateForm, EpochUnit, Kind
from stepflow_tui.engine.postgres import control, ledger
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.levels import verify_tables
from tests.copy_kit import RUN
from tests.integration.plan_kit import plan_of

INTEGER = ColumnType(kind=Kind.INTEGER, sql="bigint")
TEXT = ColumnType(kind=Kind.TEXT, sql="text")


@dataclass(frozen=True)
class Sample:
    """A kind: declaration, type, and pairs of a source value (SQL) and the target's literal (SQL)."""

    name: str
    declared: str
    type: ColumnType
    values: tuple[tuple[str, str], ...]
    mutations: tuple[tuple[str, str], ...]  # target literal of a row → what it becomes


def _type(kind: Kind, sql: str, **more: Any) -> ColumnType:
    return ColumnType(kind=kind, sql=sql, **more)


SAMPLES = (
    Sample("integer", "INTEGER", INTEGER,
           (("5", "5"), ("-9223372036854775808", "'-9223372036854775808'"), ("9007199254740993", "9007199254740993"), ("null", "null")),
           (("5", "6"), ("9007199254740993", "9007199254740992"), ("5", "null"), ("null", "0"))),
    Sample("boolean", "BOOLEAN", _type(Kind.BOOLEAN, "boolean"),
           (("1", "true"), ("0", "false"), ("null", "null")), (("true", "false"), ("false", "null"), ("null", "false"))),
    Sample("real", "REAL", _type(Kind.REAL, "double precision"),
           (("0.1", "0.1"), ("1e15", "1e15"), ("1234567890123456789.0", "1234567890123456789"), ("9e999", "'Infinity'"), ("0.0", "0"),
            ("5e-324", "'5e-324'"), ("null", "null")),
           (("0.1", "0.10000000000000002"), ("0", "'-0'"), ("'Infinity'", "'-Infinity'"), ("0", "null"), ("'5e-324'", "0"))),
    Sample("untyped real", "", _type(Kind.REAL, "double precision"),
           (("-0.0", "'-0'"), ("0.5", "0.5"), ("null", "null")), (("'-0'", "0"), ("0.5", "0.25"))),
    Sample("decimal", "DECIMAL(10,2)", _type(Kind.DECIMAL, "numeric(15,2)", scale=2, precision=15),
           (("12.5", "12.50"), ("3", "3"), ("-0.01", "-0.01"), ("1234567890123.25", "1234567890123.25"), ("null", "null")),
           (("12.50", "12.51"), ("3", "null"), ("-0.01", "0.01"), ("-0.01", "0"))),
    Sample("text", "TEXT", TEXT,
           (("'A'", "'A'"), ("''", "''"), ("'é'", "'é'"), ("'a|b'", "'a|b'"), ("'5'", "'5'"), ("'line'||char(10)||'two'", "E'line\\ntwo'"),
            ("null", "null")),
           (("'A'", "'a'"), ("'A'", "'A '"), ("''", "null"), ("null", "''"), ("'é'", "E'e\\u0301'"), ("'a|b'", "'a|c'"))),
    Sample("varchar of numbers", "VARCHAR(20)", _type(Kind.TEXT, "varchar(20)"),
           (("'00123'", "'00123'"), ("'1.0'", "'1.0'")), (("'00123'", "'123'"), ("'1.0'", "'1'"))),
    Sample("json", "JSON", _type(Kind.TEXT, "json"),
           (("'{\"a\": 1}'", "'{\"a\": 1}'"), ("null", "null")), (("'{\"a\": 1}'", "'{\"a\":1}'"),)),
    Sample("jsonb", "TEXT", _type(Kind.JSONB, "jsonb"),
           (("'{\"b\": 1,  \"a\": [1.50, null]}'", "'{\"b\": 1, \"a\": [1.50, null]}'"), ("null", "null")),
           (("'{\"b\": 1, \"a\": [1.50, null]}'", "'{\"b\": 1, \"a\": [1.51, null]}'"), ("null", "'null'"))),
    Sample("blob", "BLOB", _type(Kind.BLOB, "bytea"),
           (("x'00ff10'", "'\\x00ff10'"), ("x''", "''"), ("zeroblob(3)", "'\\x000000'"), ("null", "null")),
           (("'\\x00ff10'", "'\\x00ff11'"), ("''", "null"), ("'\\x000000'", "'\\x0000'"))),
    Sample("timestamp", "DATETIME", _type(Kind.TIMESTAMP, "timestamp", form=DateForm.SPACE),
           (("'2024-02-29 23:59:59'", "'2024-02-29 23:59:59'"), ("'0001-01-01 00:00:00'", "'0001-01-01 00:00:00'"), ("null", "null")),
           (("'2024-02-29 23:59:59'", "'2024-02-29 23:59:59.000001'"), ("'0001-01-01 00:00:00'", "'-infinity'"), ("null", "'2000-01-01'"))),
    Sample("timestamp T ms", "DATETIME", _type(Kind.TIMESTAMP, "timestamp", form=DateForm.T_MS),
           (("'1969-12-31T23:59:59.120'", "'1969-12-31 23:59:59.12'"), ("'2024-01-01T00:00:00.000'", "'2024-01-01'")),
           (("'1969-12-31 23:59:59.12'", "'1969-12-31 23:59:59.120001'"), ("'2024-01-01'", "'2024-01-01 01:00:00'"))),
    Sample("timestamp us", "DATETIME", _type(Kind.TIMESTAMP, "timestamp", form=DateForm.SPACE_US),
           (("'2024-01-01 00:00:00.000001'", "'2024-01-01 00:00:00.000001'"), ("null", "null")),
           (("'2024-01-01 00:00:00.000001'", "'2024-01-01 00:00:00.000002'"), ("null", "'infinity'"))),
    Sample("date", "DATE", _type(Kind.DATE, "date"),
           (("'2024-02-29'", "'2024-02-29'"), ("'9999-12-31'", "'9999-12-31'"), ("null", "null")),
           (("'2024-02-29'", "'2024-03-01'"), ("'9999-12-31'", "'infinity'"), ("null", "'2000-01-01'"))),
    Sample("epoch s", "INTEGER", _type(Kind.EPOCH, "timestamp", unit=EpochUnit.SECONDS),
           (("0", "'1970-01-01'"), ("-1", "'1969-12-31 23:59:59'"), ("253402300799", "'9999-12-31 23:59:59'"), ("null", "null")),
           (("'1970-01-01'", "'1970-01-01 00:00:00.000001'"), ("null", "'1970-01-01'"), ("null", "'infinity'"))),
    Sample("epoch ms", "", _type(Kind.EPOCH, "timestamp", unit=EpochUnit.MILLIS),
           (("1700000000123", "'2023-11-14 22:13:20.123'"), ("null", "null")),
           (("'2023-11-14 22:13:20.123'", "'2023-11-14 22:13:20.124'"),)),
    Sample("epoch us", "", _type(Kind.EPOCH, "timestamp", unit=EpochUnit.MICROS),
           (("1700000000123456", "'2023-11-14 22:13:20.123456'"),), (("'2023-11-14 22:13:20.123456'", "'2023-11-14 22:13:20.123457'"),)),
    Sample("cocoa", "REAL", _type(Kind.EPOCH, "timestamp", unit=EpochUnit.COCOA),
           (("700000000.123456", "'2023-03-08 20:26:40.123456'"), ("null", "null")),
           (("'2023-03-08 20:26:40.123456'", "'2023-03-08 20:26:40.123457'"),)),
    Sample("mixed text", "", _type(Kind.MIXED_TEXT, "text"),
           (("5", "'5'"), ("'x'", "'x'"), ("0.1", "'0.1'"), ("1e16", "'1e+16'"), ("null", "null")),
           (("'5'", "'5.0'"), ("'0.1'", "'0.10'"), ("'x'", "'X'"), ("null", "''"))),
    Sample("mixed bytea", "", _type(Kind.MIXED_BYTEA, "bytea"),
           (("5", "'\\x6935'"), ("'5'", "'\\x7435'"), ("x'35'", "'\\x6235'"), ("5.5", "'\\x72352e35'"), ("null", "null"),
            ("'a'||char(0)||'b'", "'\\x74610062'")),
           (("'\\x6935'", "'\\x7435'"), ("'\\x6235'", "'\\x7435'"), ("'\\x72352e35'", "'\\x72352e36'"), ("'\\x74610062'", "'\\x7461'"))),
    Sample("uuid", "TEXT", _type(Kind.OTHER, "uuid"),
           (("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"), ("null", "null")),
           (("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'"),)),
    Sample("timestamptz", "TEXT", _type(Kind.OTHER, "timestamp with time zone"),
           (("'2024-01-01T00:00:00+02:00'", "'2023-12-31 22:00:00+00'"),),
           (("'2023-12-31 22:00:00+00'", "'2024-01-01 00:00:00+00'"), ("'2023-12-31 22:00:00+00'", "'2023-12-31 22:00:00.000001+00'"))),
    Sample("time", "TEXT", _type(Kind.OTHER, "time"), (("'12:30:00'", "'12:30'"),), (("'12:30'", "'12:30:00.000001'"),)),
    Sample("char", "CHAR(5)", _type(Kind.OTHER, "char(5)"), (("'abc  '", "'abc'"), ("'abcde'", "'abcde'")), (("'abcde'", "'abcd'"),)),
    Sample("smallint", "INTEGER", ColumnType(kind=Kind.INTEGER, sql="smallint", width=2), (("5", "5"), ("-32768", "'-32768'")), (("5", "6"),)),
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """The two tables and their plan."""

    path: Path
    target: Target
    table: TablePlan
    facts: TableFacts
    utf16: bool = False

    def job(self, **changes: Any) -> VerifyJob:
        """A verification of it."""
        job = VerifyJob(
            level=Level.DETAILED, source=self.path, frozen=True, target=self.target, tables=(self.table,),
            facts={self.table.source: self.facts}, utf16=self.utf16, streams=1,
        )  # fmt: skip
        return replace(job, **changes)

    async def verify(self, pool: WorkerPool | None = None, **changes: Any) -> TableVerdict:
        """Its verdict."""
        (verdict,) = await verify_tables(self.job(**changes), pool=pool)
        return verdict

    async def sql(self, *statements: str) -> None:
        """Change the target."""
        connection = await self.target.connect()
        try:
            await connection.execute("set search_path to public")
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


async def make(
    folder: Path,
    target: Target,
    sample: Sample,
    compare: CompareKind,
    *,
    name: str = "t",
    rows: int = 40,
    encoding: str = "UTF-8",
    keyed: bool = True,
) -> Pair:
    """Fill both sides with the sample's values, `rows` rows in turn: id, v, w."""
    path = folder / f"{name}.db"
    key = "primary key" if keyed else "not null"
    lite = sqlite3.connect(path)
    lite.execute(f"pragma encoding='{encoding}'")
    lite.execute(f"create table {name}(id integer {key}, v {sample.declared}, w text)")
    pairs = [sample.values[n % len(sample.values)] for n in range(rows)]
    for n, (value, _) in enumerate(pairs):
        lite.execute(f"insert into {name} values ({n + 1}, {value}, 'row {n // 2}')")
    lite.commit()
    lite.close()
    connection = await target.connect()
    try:
        await connection.execute("set search_path to public")
        await connection.execute(f"create table {name}(id bigint {key}, v {sample.type.sql}, w text)")
        values = ",".join(
            f"({n + 1}, {literal}::{sample.type.sql}, 'row {n // 2}')" for n, (_, literal) in enumerate(pairs)
        )
        await connection.execute(f"insert into {name} values {values}")
    finally:
        await connection.close()
    columns = (
        ColumnPlan(source="id", target="id", declared="integer", type=INTEGER, not_null=True),
        ColumnPlan(source="v", target="v", declared=sample.declared, type=sample.type),
        ColumnPlan(source="w", target="w", declared="text", type=TEXT),
    )
    table = TablePlan(
        source=name, schema="public", name=name, columns=columns, walk=Walk(kind=WalkKind.ROWID, columns=("id" if keyed else "rowid",)),
        compare=Compare(kind=compare, columns=("id",) if compare is CompareKind.KEY else ()),
        primary_key=("id",) if keyed else (), rowid_alias="id" if keyed else None, rowid_name="rowid",
    )  # fmt: skip
    facts = TableFacts(rows=rows, columns={c.source: ColumnFacts(mean_bytes=10.0) for c in columns})
    return Pair(path, target, table, facts, utf16=encoding != "UTF-8")


def classes(verdict: TableVerdict) -> list[tuple[Any, str | None, str]]:
    """Key value, column and class of every named difference."""
    return [(next(iter(d.key.values()), None), d.column, d.cls.value) for d in verdict.discrepancies]


async def migrate(path: Path, target: Target, pool: WorkerPool, **sections: Any) -> VerifyJob:
    """The whole way of a real file: census, plan, copy, keys; the verification of what arrived."""
    plan = await plan_of(path, **sections)
    tables = tuple(t for t in plan.tables if t.impossible is None)
    copying = CopyJob(
        run=RUN,
        epoch=0,
        frozen=path,
        target=target,
        tables=tables,
        facts=plan.facts,
        streams=1,
        load=None,
        encoding=plan.encoding,
    )
    connection = await target.connect()
    try:
        await control.install(connection, RUN)
        epoch = await control.raise_epoch(connection, RUN)
        for statement in (s for s in plan.statements if s.stage in (Stage.SCHEMA, Stage.TABLE)):
            await connection.execute(statement.sql)
        first = 0
        for table in tables:
            found = plan_segments(path, table, copying.table_facts(table), encoding=plan.encoding)
            rows = ledger_rows(found, first=first)
            first += len(rows)
            await ledger.add_segments(connection, RUN, epoch, rows)
        await copy_tables(
            replace(copying, epoch=epoch), control=FreeRunning(), report=silent, clock=SystemClock(), pool=pool
        )
        refused = await _finish(connection, plan)
        rejects: dict[str, tuple[Reject, ...]] = {}
        for reject in await ledger.rejects(connection, RUN):
            rejects[reject.table] = (*rejects.get(reject.table, ()), reject)
    finally:
        await connection.close()
    kept = replace(plan, statements=tuple(s for s in plan.statements if s.id not in refused))
    return VerifyJob(
        level=Level.COMPREHENSIVE, source=path, frozen=True, target=target, tables=plan.tables, facts=plan.facts,
        rejects=rejects, utf16=plan.encoding != "UTF-8", streams=1, plan=kept,
    )  # fmt: skip


async def _finish(connection: Any, plan: Plan) -> set[str]:
    refused = set()
    for statement in (s for s in plan.statements if s.stage not in (Stage.SCHEMA, Stage.TABLE)):
        try:
            await connection.execute(statement.sql)
        except Exception:
            if not statement.optional:
                raise
            refused.add(statement.id)
    return refused

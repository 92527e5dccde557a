"""Plans of real files, and their statements run for real with the rows in between."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.plan import ColumnPlan, ObjectType, Plan, PlannedObject, Stage
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.build import build_plan
from stepflow_tui.engine.plan.existing import Matched
from stepflow_tui.engine.plan.quote import lite_ident, pg_ident, pg_name
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.census import take_census


def source(path: Path, sql: str) -> Path:
    """A SQLite file made of these statements."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript(sql)
    finally:
        connection.close()
    return path


def schema_of(path: Path) -> SourceSchema:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return read_schema(connection)
    finally:
        connection.close()


def config_for(path: Path, **sections: Any) -> Config:
    target = {"schema": "app", **sections.pop("target", {})}
    data = {"name": "t", "kind": "sqlite-to-postgres", "source": {"path": str(path)}, "target": target, **sections}
    return Config.model_validate(data, context={"base": path.parent})


async def plan_of(path: Path, existing: Matched | None = None, **sections: Any) -> Plan:
    schema, config = schema_of(path), config_for(path, **sections)
    made = existing.for_census() if existing else None
    growing = config.mode is Mode.LIVE
    census = await take_census(path, schema, frozen=True, types=config.types, existing=made, growing=growing)
    return build_plan(schema, census, config, existing=existing)


def find(plan: Plan, kind: ObjectType, name: str) -> PlannedObject:
    return next(o for o in plan.objects if o.type is kind and o.name == name)


@dataclass
class Outcome:
    """What PostgreSQL said: refusals by statement id."""

    refused: dict[str, str] = field(default_factory=dict)


async def apply(connection: asyncpg.Connection, plan: Plan, path: Path | None = None) -> Outcome:
    """Run all statements in order, rows after the tables; what isn't optional must not fail."""
    outcome = Outcome()
    early = (Stage.SCHEMA, Stage.TABLE)
    for statement in (s for s in plan.statements if s.stage in early):
        await connection.execute(statement.sql)
    if path is not None:
        await _fill(connection, plan, path)
    for statement in (s for s in plan.statements if s.stage not in early):
        try:
            await connection.execute(statement.sql)
        except asyncpg.PostgresError as error:
            if not statement.optional:
                raise
            outcome.refused[statement.id] = str(error)
    return outcome


async def _fill(connection: asyncpg.Connection, plan: Plan, path: Path) -> None:
    lite = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for table in plan.tables:
            if table.impossible or not table.copied:
                continue
            names = ", ".join(lite_ident(c.source) for c in table.copied)
            rows = lite.execute(f"select {names} from {lite_ident(table.source)}").fetchall()
            targets = ", ".join(pg_ident(c.target) for c in table.copied)
            cells = ", ".join(f"${i}::text::{c.type.sql}" for i, c in enumerate(table.copied, 1))
            insert = f"insert into {pg_name(table.schema, table.name)} ({targets}) values ({cells})"
            for row in rows:
                await connection.execute(insert, *[_cell(v, c) for v, c in zip(row, table.copied, strict=True)])
    finally:
        lite.close()


def _cell(value: Any, column: ColumnPlan) -> str | None:
    if value is None:
        return None
    if column.type.kind is Kind.MIXED_BYTEA:
        letter = {int: b"i", float: b"r", str: b"t", bytes: b"b"}[type(value)]
        raw = value if isinstance(value, bytes) else str(value).encode()
        return "\\x" + (letter + raw).hex()
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if column.type.kind is Kind.EPOCH:
        per_second = {"epoch_s": 1, "epoch_ms": 1000, "epoch_us": 1_000_000}[column.type.unit or ""]
        return (datetime(1970, 1, 1) + timedelta(microseconds=value * 1_000_000 // per_second)).isoformat(" ")
    return repr(value) if isinstance(value, float) else str(value)

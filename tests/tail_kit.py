"""A live source and its tail: a file made of SQL, its real plan and capture, the target's tables, and both sides compared.

The comparison converts in its own way: it shares no code with the tail.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.live.tail import Tail
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.model.control import FreeRunning
from stepflow_tui.engine.model.live import LOG
from stepflow_tui.engine.model.plan import ColumnPlan, Plan, Stage, TablePlan
from stepflow_tui.engine.model.types import EpochUnit, Kind
from stepflow_tui.engine.plan.capture import capture_plan
from stepflow_tui.engine.plan.quote import lite_ident, pg_ident, pg_name
from stepflow_tui.engine.postgres import control, progress
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.live_tables import install_live
from stepflow_tui.engine.sqlite import capture
from tests.integration.plan_kit import plan_of, schema_of

RUN = "tail-20260101T000000-0001"
QUICK = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Pauses between attempts."""

Rows = dict[str, Counter[tuple[Any, ...]]]


@dataclass(kw_only=True)
class Rig:
    """One live source. `app` is the application's connection, `pg` one that looks at the target."""

    path: Path
    plan: Plan
    job: TailJob
    app: sqlite3.Connection
    pg: asyncpg.Connection
    tails: list[Tail] = field(default_factory=list)

    def tail(self, **changes: Any) -> Tail:
        """A tail of this run; it is closed with the rig."""
        tail = Tail(replace(self.job, **changes), control=FreeRunning(), clock=SystemClock())
        self.tails.append(tail)
        return tail

    def log_max(self) -> int:
        """The newest log entry."""
        return int(self.app.execute(f"select coalesce(max(n), 0) from {LOG}").fetchone()[0])

    async def watermark(self) -> progress.Progress:
        """Where the tail stands."""
        found = await progress.read(self.pg, RUN)
        assert found is not None
        return found

    async def poison(self) -> list[progress.Poison]:
        """The quarantine."""
        return await progress.list_poison(self.pg, RUN)

    async def differing(self) -> list[str]:
        """Tables whose rows are not the same on both sides."""
        source = source_rows(self.app, self.plan.tables)
        target = await target_rows(self.pg, self.plan.tables)
        return [t.source for t in self.plan.tables if source[t.source] != target[t.source]]

    async def close(self) -> None:
        """Close everything."""
        for tail in self.tails:
            await tail.close()
        self.app.close()
        self.pg.terminate()


def make_source(path: Path, script: str, *, encoding: str = "UTF-8", journal: str = "wal") -> sqlite3.Connection:
    """The application's file, and its connection."""
    app = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    app.execute(f"pragma encoding='{encoding}'")
    app.execute(f"pragma journal_mode={journal}")
    app.executescript(script)
    app.execute("pragma wal_checkpoint(truncate)")  # the census reads the file as a frozen one
    return app


async def rig(
    folder: Path, target: Target, script: str, *, encoding: str = "UTF-8", journal: str = "wal", **sections: Any
) -> Rig:
    """A source with capture installed and its rows logged as changed, so that the tail itself brings them over."""
    path = folder / "live.db"
    app = make_source(path, script, encoding=encoding, journal=journal)
    plan = await plan_of(path, mode="live", **sections)
    captured = capture_plan(schema_of(path), plan.tables)
    installed = await capture.install(path, captured, RUN)
    pg = await target.connect()
    for statement in plan.statements:
        if statement.stage in (Stage.SCHEMA, Stage.TABLE, Stage.KEY, Stage.SEQUENCE):
            await pg.execute(statement.sql)
    await control.install(pg, RUN)
    await install_live(pg)
    epoch = await control.raise_epoch(pg, RUN)
    await progress.start(pg, RUN, epoch, 0)
    log_everything(app, plan)
    job = TailJob(
        run=RUN, epoch=epoch, source=path, target=replace(target, schema="app"), tables=plan.tables, installed=installed,
        encoding=plan.encoding, replace=sections.get("copy", {}).get("on_bad_value") == "replace", retry_seconds=QUICK,
    )  # fmt: skip
    return Rig(path=path, plan=plan, job=job, app=app, pg=pg)


def log_everything(app: sqlite3.Connection, plan: Plan) -> None:
    """Log every row as changed."""
    for table in plan.tables:
        into = ",".join(f"k{i}" for i in range(1, len(table.live_key) + 1))
        keys = ",".join(lite_ident(name) for name in table.live_key)
        app.execute(f"insert into {LOG}(tb,{into}) select ?,{keys} from {lite_ident(table.source)}", (table.source,))


def source_rows(conn: sqlite3.Connection, tables: tuple[TablePlan, ...]) -> Rows:
    """What the target should hold."""
    return {
        t.source: Counter(
            tuple(expected(_native(v), c) for v, c in zip(row, t.copied, strict=True))
            for row in conn.execute(
                f"select {','.join(lite_ident(c.source) for c in t.copied)} from {lite_ident(t.source)}"
            )
        )
        for t in tables
    }


async def target_rows(conn: asyncpg.Connection, tables: tuple[TablePlan, ...]) -> Rows:
    """What it holds."""
    return {
        t.source: Counter(
            tuple(row)
            for row in await conn.fetch(
                f"select {','.join(pg_ident(c.target) for c in t.copied)} from {pg_name(t.schema, t.name)}"
            )
        )
        for t in tables
    }


def _native(value: Any) -> Any:
    """Connections with exact rows give TEXT as a subclass of bytes."""
    return value.decode() if isinstance(value, bytes) and type(value) is not bytes else value


def expected(value: Any, column: ColumnPlan) -> Any:
    """A value as asyncpg returns it from a target that holds it exactly."""
    kind = column.type.kind
    if value is None:
        return None
    if kind is Kind.BOOLEAN:
        return bool(value)
    if kind is Kind.DECIMAL:
        return Decimal(repr(value))
    if kind is Kind.TIMESTAMP:
        return datetime.fromisoformat(value)
    if kind is Kind.DATE:
        return date.fromisoformat(value)
    if kind is Kind.EPOCH:
        per_second = {EpochUnit.SECONDS: 1, EpochUnit.MILLIS: 1_000}[column.type.unit or EpochUnit.SECONDS]
        return datetime(1970, 1, 1) + timedelta(microseconds=value * 1_000_000 // per_second)
    if kind is Kind.MIXED_TEXT:
        return repr(value) if isinstance(value, float) else str(value)
    if kind is Kind.MIXED_BYTEA:
        letter = {int: b"i", float: b"r", str: b"t", bytes: b"b"}[type(value)]
        return letter + (value if isinstance(value, bytes) else str(value).encode())
    return value

"""Capture by hand: a SQLite file, the plan of its triggers, what the log holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from stepflow_tui.engine.model.live import LOG, CapturePlan, Installed
from stepflow_tui.engine.model.plan import Compare, CompareKind, TablePlan, Walk, WalkKind
from stepflow_tui.engine.model.schema import SourceTable
from stepflow_tui.engine.plan.capture import capture_plan, key_of, uncapturable
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.connect import open_living

RUN = "shop-20260101T000000-0001"

SHOP = """
create table users(id integer primary key autoincrement, email text not null unique collate nocase, age int);
create table lines(doc text not null, no integer not null, x, primary key (doc, no)) without rowid;
create table notes(text);
create table codes(code text primary key not null, x unique);
create unique index adult on users(lower(email)) where age > 17;
create trigger touch after insert on users begin insert into notes values ('user ' || new.id); end;
"""


def make(path: Path, script: str = SHOP, *, mode: str = "wal") -> Path:
    """A database in that journal mode."""
    with application(path) as conn:
        conn.execute(f"pragma journal_mode = {mode}")
        conn.executescript(script)
    return path


@contextmanager
def application(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of the application."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as conn:
        yield conn


def plan(path: Path) -> CapturePlan:
    """The triggers of all tables that can be captured."""
    with closing(open_living(path)) as conn:
        schema = read_schema(conn)
    return capture_plan(schema, [_table(t) for t in schema.tables if uncapturable(t) is None])


def _table(table: SourceTable) -> TablePlan:
    return TablePlan(
        source=table.name,
        schema="public",
        name=table.name,
        columns=(),
        walk=Walk(kind=WalkKind.SINGLE),
        compare=Compare(kind=CompareKind.MULTISET),
        live_key=key_of(table, usable_primary=True),
    )


async def installed(path: Path) -> tuple[CapturePlan, Installed]:
    """Capture, installed."""
    made = plan(path)
    return made, await capture.install(path, made, RUN)


def look(path: Path, known: Installed, *, applied: int = 0) -> int:
    """One guarded look, as the tail does it."""
    with closing(open_living(path, exact_rows=True)) as conn:
        conn.execute("begin")
        return capture.guard(conn, known, path, applied=applied)


def rows(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a query gives the application."""
    with application(path) as conn:
        return conn.execute(sql, values).fetchall()


def logged(path: Path, table: str) -> set[tuple[Any, ...]]:
    """The keys of that table in the log."""
    return {row for row in rows(path, f"select * from {LOG} where tb = ?", table) for row in [tuple(row[2:])]}


def catalog(path: Path) -> list[tuple[Any, ...]]:
    """The whole schema table but for page numbers, in its order; and the AUTOINCREMENT counters."""
    with application(path) as conn:
        schema = conn.execute("select type, name, tbl_name, sql from sqlite_master").fetchall()
        counted = conn.execute("select count(*) from sqlite_master where name = 'sqlite_sequence'").fetchone()[0]
        counters = conn.execute("select * from sqlite_sequence order by name").fetchall() if counted else []
        assert conn.execute("pragma integrity_check").fetchall() == [("ok",)]
        return schema + counters

"""Moves writes over and back with everybody waiting: what shows that the fleet itself works, without any live engine."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import asyncpg

from tests.fleet.compare import tables
from tests.fleet.schema import lite

_REFUSE = """
create schema if not exists _stepflow;
create table _stepflow.gate(owner text not null, writes text not null);
insert into _stepflow.gate values ('postgresql', 'open');
create function _stepflow.refuse() returns trigger language plpgsql as $$ begin
  if (select writes from _stepflow.gate) <> 'open' then raise exception 'writes moved' using errcode = 'SF001'; end if;
  return null; end $$;
"""


def fence(path: Path, *only: str) -> None:
    """Refuse writes (to `only` these tables) in SQLite from now on; nobody owns them."""
    with contextlib.closing(lite(path)) as connection:
        connection.execute("begin immediate")
        connection.execute("create table _sf_ctl(one integer primary key, owner text, fenced integer)")
        connection.execute(
            "create table _sf_switch(one integer primary key, version integer, share integer, salt text, groups text,"
            " lease_until_ms integer)"
        )
        connection.execute("insert into _sf_ctl values (1, 'sqlite', 1)")
        for table in tables(connection):
            for verb in ("insert", "update", "delete") if not only or table in only else ():
                connection.execute(
                    f"create trigger _sf_fence_{table}_{verb} before {verb} on {table} begin"
                    " select raise(abort, 'stepflow: writes moved'); end"
                )
        connection.execute("commit")


async def open_there(path: Path, dsn: str, *only: str) -> None:
    """Let PostgreSQL own writes (to `only` these tables)."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_REFUSE)
        with contextlib.closing(lite(path)) as source:
            for table in only or tables(source):
                await connection.execute(
                    f"create trigger refuse before insert or update or delete on {table} execute function _stepflow.refuse()"
                )
            source.execute("update _sf_ctl set owner = 'postgresql'")
    finally:
        await connection.close()


async def close_there(dsn: str, last: str = "event") -> None:
    """Refuse writes in PostgreSQL from now on; waits for those under way. `last`: what every transaction writes to."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(f"lock table {last}")
            await connection.execute("update _stepflow.gate set writes = 'closed'")
    finally:
        await connection.close()


async def bring_back(path: Path, dsn: str) -> None:
    """Put PostgreSQL's rows into SQLite in the place of its own, and let it own writes again."""
    connection = await asyncpg.connect(dsn)
    try:
        with contextlib.closing(lite(path, foreign_keys=False)) as target:
            target.execute("begin immediate")
            made = target.execute("select name, sql from sqlite_schema where type = 'trigger'").fetchall()
            for name, _ in made:
                target.execute(f"drop trigger {name}")
            for table in tables(target):
                await _refill(target, connection, table)
            for name, sql in made:
                if not name.startswith("_sf_"):
                    target.execute(sql)
            target.execute("drop table _sf_switch")
            target.execute("drop table _sf_ctl")
            target.execute("commit")
    finally:
        await connection.close()


async def _refill(target: sqlite3.Connection, connection: asyncpg.Connection, table: str) -> None:
    columns = [r[1] for r in target.execute(f"pragma table_xinfo({table})") if r[6] == 0]
    old = {}
    if "val" in columns:  # only SQLite knows which of its texts was a number
        old = {str(v): v for (v,) in target.execute(f"select val from {table}") if isinstance(v, (int, float))}
    target.execute(f"delete from {table}")
    marks = ", ".join("?" * len(columns))
    for record in await connection.fetch(f"select {', '.join(_asked(c) for c in columns)} from {table}"):
        values = [old.get(v, v) if c == "val" else _lite(v) for c, v in zip(columns, record, strict=True)]
        target.execute(f"insert into {table}({', '.join(columns)}) values ({marks})", values)


def _asked(column: str) -> str:
    as_text = ("made", "updated_at", "day", "price")
    return f"{column}::text" if column in as_text else column


def _lite(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value

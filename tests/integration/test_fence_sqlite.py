"""The write fence in the source: nothing gets through, and lifting it brings back exactly what was there."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.errors import Drift, Held, Refused
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.sqlite import fence
from stepflow_tui.engine.sqlite.capture import guard
from stepflow_tui.engine.sqlite.capture_state import identity, read_control
from stepflow_tui.engine.sqlite.connect import open_living
from tests.copy_kit import INTEGER, TEXT
from tests.reverse_kit import install_capture, live_table, new_file

SCRIPT = """
create table t(id integer primary key, u text unique, x text);
create table w(k text primary key, x text) without rowid;
create table n(x text);
create table parent(id integer primary key);
create table child(id integer primary key, p references parent(id) on delete cascade on update cascade);
create table audit(what, id);
create view v as select id, u from t;
create trigger "first ä" after insert on t begin insert into audit values ('first', new.id); -- a note
end;
create trigger second after insert on t when new.u like 'a%' begin insert into audit values ('second', new.id); end;
CREATE  TRIGGER if not exists main.touch after update of x on t begin update t set x = upper(x) where id = new.id; end;
create trigger through instead of insert on v begin insert into t(id, u) values (new.id, new.u); end;
create trigger elsewhere after insert on parent begin insert into n values (new.id); end;
"""
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "t": [(1, "a", "x"), (2, "b", "y")],
    "w": [("a", "x"), ("b", "y")],
    "n": [("x",)],
    "parent": [(1,), (2,)],
    "child": [(1, 1), (2, 2)],
}
FENCED = ("t", "w", "n", "child")
WRITES = [
    "insert into t values (9, 'z', 'z')",
    "insert or ignore into t values (9, 'z', 'z')",
    "insert or replace into t values (9, 'a', 'z')",
    "insert or fail into t values (9, 'z', 'z')",
    "insert or rollback into t values (9, 'z', 'z')",
    "replace into t values (1, 'a', 'other')",
    "insert into t values (1, 'q', 'q') on conflict(id) do update set x = 'upserted'",
    "insert into t values (8, 'q', 'q') on conflict do nothing",
    "insert into t select id + 10, null, x from t",
    "update t set x = 'changed'",
    "update or ignore t set u = 'c' where id = 1",
    "update or replace t set u = 'b' where id = 1",
    "update t set id = 5 where id = 1",
    "delete from t where id = 1",
    "delete from t",
    "with gone as (select 2 as id) delete from t where id in (select id from gone)",
    "insert into v values (9, 'through')",
    "insert or ignore into v values (9, 'through')",
    "insert into w values ('c', 'z')",
    "replace into w values ('a', 'z')",
    "update w set k = 'd' where k = 'a'",
    "delete from w",
    "insert into n values ('z')",
    "update n set x = 'z'",
    "delete from n",
    "delete from parent where id = 1",
    "update parent set id = 7 where id = 1",
    "insert into parent values (3)",
    "insert or ignore into parent values (3)",
]


async def _source(tmp_path: Path, journal: str = "wal") -> Path:
    path = new_file(tmp_path, SCRIPT, ROWS)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(f"pragma journal_mode={journal}")
    await install_capture(path, [
        live_table(path, "t", {"id": INTEGER, "u": TEXT, "x": TEXT}), live_table(path, "w", {"k": TEXT, "x": TEXT}),
        live_table(path, "n", {"x": TEXT}), live_table(path, "child", {"id": INTEGER, "p": INTEGER}),
    ])  # fmt: skip
    return path


def _application(path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None, timeout=5)
    conn.execute("pragma foreign_keys=on")
    return conn


def _content(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as conn:
        return [
            (table, *row)
            for table in ("t", "w", "n", "parent", "child", "audit", "_sf_log")
            for row in conn.execute(f"select * from {table}")
        ]


def _triggers(path: Path) -> list[tuple[str, str, str]]:
    """The application's, in the order in which SQLite has them."""
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(
            "select name, tbl_name, sql from sqlite_schema where type='trigger' and name not glob '_sf_*' order by rowid"
        ).fetchall()


def _sound(path: Path) -> None:
    """Capture's own guard finds what it expects."""
    with closing(open_living(path)) as conn:
        conn.execute("begin")
        control = read_control(conn)
        assert control is not None
        device, inode = identity(path)
        guard(conn, fence.Installed(device=device, inode=inode, schema_version=control.schema_version, triggers_sha256=control.triggers), path)  # fmt: skip


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("sql", WRITES)
async def test_every_form_of_write_is_refused(tmp_path: Path, sql: str, journal: str) -> None:
    path = await _source(tmp_path, journal)
    before = _content(path)
    with closing(_application(path)) as app:
        app.execute("begin")
        app.execute(sql)
        app.commit()
        unfenced = _content(path)
        assert unfenced != before, "the statement changes nothing: it would prove nothing behind the fence"
    await fence.raise_fence(path, FENCED, wait=5)
    with closing(_application(path)) as app:
        for table in ("t", "w", "n", "parent", "child"):  # the statement must find rows to change again
            assert app.execute(f"select count(*) from {table}").fetchone() is not None
        with pytest.raises(sqlite3.IntegrityError, match="stepflow: writes moved"):
            app.execute(_again(sql))
    assert _content(path) == unfenced


def _again(sql: str) -> str:
    """A statement that has been done, so that it would have an effect once more."""
    fresh = {"(9,": "(19,", "(8,": "(18,", "'z'": "'zz'", "id + 10": "id + 100", "(3)": "(33)", "where id = 1": "", "'c'": "'cc'"}
    if sql.startswith(("delete from t", "with gone", "delete from w", "delete from n")):
        return f"insert into {sql.split()[2] if sql.startswith('delete') else 't'} default values"
    if sql.startswith("update parent"):
        return "update parent set id = 70 where id = 7"
    if sql.startswith("delete from parent"):
        return "delete from parent where id = 2"
    for old, new in fresh.items():
        sql = sql.replace(old, new)
    return sql

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
from stepflow_tui.engine.model.live import Installed, Owner
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
        expected = Installed(
            device=device, inode=inode, schema_version=control.schema_version, triggers_sha256=control.triggers
        )
        guard(conn, expected, path)


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("sql", WRITES)
async def test_every_form_of_write_is_refused(tmp_path: Path, sql: str, journal: str) -> None:
    for fenced in (False, True):
        folder = tmp_path / str(fenced)
        folder.mkdir()
        path = await _source(folder, journal)
        before = _content(path)
        if fenced:
            await fence.raise_fence(path, FENCED, wait=5)
        with closing(_application(path)) as app:
            if fenced:
                with pytest.raises(sqlite3.IntegrityError, match="stepflow: writes moved"):
                    app.execute(sql)
            else:
                app.execute(sql)
        # without a fence the statement does something, or it would prove nothing
        assert (_content(path) == before) is fenced


async def test_a_transaction_of_ours_gets_through_and_only_while_it_lasts(tmp_path: Path) -> None:
    path = await _source(tmp_path)
    await fence.raise_fence(path, FENCED, wait=5)
    with closing(_application(path)) as ours:
        ours.execute("begin immediate")
        ours.execute("update _sf_ctl set writer='stepflow'")
        ours.execute("insert into t values (9, 'a9', 'z')")
        ours.execute("update _sf_ctl set writer=''")
        ours.execute("commit")
        with pytest.raises(sqlite3.IntegrityError, match="stepflow"):
            ours.execute("insert into t values (10, 'z', 'z')")
        assert ours.execute("select count(*) from audit where id = 9").fetchone() == (0,)


async def test_triggers_come_back_byte_by_byte_and_in_their_order(tmp_path: Path) -> None:
    path = await _source(tmp_path)
    before, written = _triggers(path), _content(path)
    facts = await fence.raise_fence(path, FENCED, owner=Owner.SQLITE, wait=5)
    again = await fence.raise_fence(path, FENCED, owner=Owner.POSTGRESQL, wait=5)
    assert [k.name for k in facts.kept] == ["first ä", "second", "touch"]
    assert again.kept == facts.kept
    assert [name for name, _, _ in _triggers(path)] == ["through", "elsewhere"]
    state = await fence.fence_state(path)
    assert (state.fenced, state.owner, set(state.tables)) == (True, Owner.POSTGRESQL, set(FENCED))
    _sound(path)
    await fence.set_owner(path, Owner.SQLITE, wait=5)
    state = await fence.lift_fence(path, wait=5)
    assert (state.fenced, state.owner, state.tables, state.kept) == (False, Owner.SQLITE, (), ())
    assert await fence.lift_fence(path, owner=Owner.SQLITE, wait=5) == state
    _sound(path)
    assert sorted(_triggers(path)) == sorted(before)
    kept = [t for t in before if t[1] == "t"]
    assert [t for t in _triggers(path) if t[1] == "t"] == kept
    assert _content(path) == written
    with closing(_application(path)) as app:
        app.execute("insert into t values (9, 'a9', 'z')")
        assert app.execute("select what from audit where id = 9 order by what").fetchall() == [("first",), ("second",)]


async def test_the_log_cannot_move_behind_the_fence(tmp_path: Path) -> None:
    path = await _source(tmp_path)
    acknowledged: list[int] = []
    started, refused = threading.Event(), threading.Event()

    def hammer() -> None:
        with closing(_application(path)) as app:
            for i in range(100, 1_000_000):
                try:
                    app.execute("insert into t values (?, null, 'x')", (i,))
                except sqlite3.IntegrityError:
                    refused.set()
                    return
                acknowledged.append(i)
                started.set()

    threads = [threading.Thread(target=hammer)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(started.wait)
    facts = await fence.raise_fence(path, FENCED, wait=10)
    await asyncio.to_thread(refused.wait)
    for thread in threads:
        thread.join()
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("select max(n) from _sf_log").fetchone() == (facts.log_max,)
        stored = {row[0] for row in conn.execute("select id from t where id >= 100")}
        logged = {row[0] for row in conn.execute("select k1 from _sf_log where tb = 't' and n <= ?", (facts.log_max,))}
    assert stored == set(acknowledged)
    assert stored <= logged


@pytest.mark.parametrize("journal", ["wal", "delete"])
async def test_a_writer_that_does_not_end_keeps_it_out_and_nothing_changes(tmp_path: Path, journal: str) -> None:
    path = await _source(tmp_path, journal)
    before = _triggers(path)
    with closing(_application(path)) as app:
        app.execute("begin immediate")
        app.execute("insert into t values (9, 'z', 'z')")
        with pytest.raises(Held) as caught:
            await fence.raise_fence(path, FENCED, wait=0.05)
        assert caught.value.code == "source_busy"
        app.execute("commit")
        assert _triggers(path) == before
        assert not (await fence.fence_state(path)).fenced
        app.execute("update t set x = 'goes on' where id = 9")


async def test_a_reader_that_does_not_end_keeps_it_out_in_a_rollback_journal(tmp_path: Path) -> None:
    path = await _source(tmp_path, "delete")
    with closing(_application(path)) as app:
        app.execute("begin")
        app.execute("select * from t").fetchall()
        with pytest.raises(Held):
            await fence.raise_fence(path, FENCED, wait=0.05)
        app.execute("commit")
        assert not (await fence.fence_state(path)).fenced
        app.execute("delete from t where id = 1")


async def test_it_needs_capture_and_its_tables(tmp_path: Path) -> None:
    bare = new_file(tmp_path, "create table t(id integer primary key)")
    with pytest.raises(Refused) as refused:
        await fence.raise_fence(bare, ["t"], wait=1)
    assert refused.value.code == "capture_missing"
    folder = tmp_path / "other"
    folder.mkdir()
    path = await _source(folder)
    with pytest.raises(Drift) as drift:
        await fence.raise_fence(path, [*FENCED, "gone"], wait=1)
    assert drift.value.code == "source_table_gone"
    with closing(_application(path)) as app:
        app.execute("drop trigger _sf_cap_t_ad")
    with pytest.raises(Drift) as drift:
        await fence.raise_fence(path, FENCED, wait=1)
    assert drift.value.code == "capture_trigger_missing"
    assert not (await fence.fence_state(path)).fenced


async def test_lifting_does_not_vouch_for_what_changed_behind_it(tmp_path: Path) -> None:
    path = await _source(tmp_path)
    await fence.raise_fence(path, FENCED, wait=5)
    with closing(_application(path)) as app:
        app.execute("drop trigger _sf_cap_t_ad")
    await fence.lift_fence(path, wait=5)
    with closing(_application(path)) as app:
        app.execute("delete from t where id = 1")  # the application can write
    with pytest.raises(Drift):
        _sound(path)


async def test_a_trigger_the_application_made_meanwhile(tmp_path: Path) -> None:
    path = await _source(tmp_path)
    before = _triggers(path)
    await fence.raise_fence(path, FENCED, wait=5)
    with closing(_application(path)) as app:
        for name, _, sql in before:
            if name in ("first ä", "touch"):
                app.execute(sql)  # what a start of the application does with IF NOT EXISTS
    await fence.lift_fence(path, wait=5)
    assert sorted(_triggers(path)) == sorted(before)
    await fence.lift_fence(path, wait=5)


async def test_a_trigger_of_that_name_with_another_text_is_in_the_way(tmp_path: Path) -> None:
    path = await _source(tmp_path)
    await fence.raise_fence(path, FENCED, wait=5)
    with closing(_application(path)) as app:
        app.execute("create trigger second after delete on t begin select 1; end")
    with pytest.raises(Drift) as caught:
        await fence.lift_fence(path, wait=5)
    assert caught.value.code == "fence_trigger"
    state = await fence.fence_state(path)
    assert state.fenced
    assert [k.name for k in state.kept] == ["first ä", "second", "touch"]
    with closing(_application(path)) as app:
        app.execute("drop trigger second")
    assert not (await fence.lift_fence(path, wait=5)).fenced

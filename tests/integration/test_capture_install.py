"""Installing change capture into a living file and taking it out again, in both journal modes."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import Drift, Held, Refused
from stepflow_tui.engine.model.live import CTL, LOG
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.capture_state import triggers_digest
from stepflow_tui.engine.sqlite.connect import open_application, open_living
from tests.capture_kit import RUN, application, catalog, installed, logged, look, make, plan, rows

MODES = pytest.mark.parametrize("mode", ["wal", "delete"])

WRITER = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
print("ready", flush=True)
done = 0
while not sys.stdin.readline().strip() == "stop" if done % 50 == 49 else True:
    conn.execute("begin immediate")
    conn.execute("insert or replace into users(email) values (?)", (f"u{sys.argv[2]}-{done % 97}",))
    conn.execute("commit")
    done += 1
    if done % 50 == 49:
        print(done, flush=True)
"""


@asynccontextmanager
async def writers(path: Path, count: int) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Processes that write in lots of fifty, one lot for each line they are given."""
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(path), str(i), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for i in range(count)
    ]
    try:
        for one in started:
            await _line(one)
        yield started
    finally:
        for one in started:
            if one.returncode is None:
                one.kill()
            await one.wait()


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


def _tell(process: asyncio.subprocess.Process, word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n".encode())


@MODES
async def test_it_logs_from_the_first_change_on_and_leaves_no_trace(tmp_path: Path, mode: str) -> None:
    path = make(tmp_path / "shop.db", mode=mode)
    before = catalog(path)
    made, known = await installed(path)
    assert rows(path, "pragma journal_mode") == [(mode,)]
    assert set(made.triggers) == {
        name for (name,) in rows(path, "select name from sqlite_master where name like '\\_sf\\_cap%' escape '\\'")
    }
    with application(path) as conn:
        conn.execute("insert into users(email, age) values ('Ann@x', 20), ('bob', 30)")
        conn.execute("insert or replace into users(email, age) values ('ANN@X', 21)")
        conn.execute("insert into lines values ('d', 1, 'x'), ('d', 2, 'y')")
    assert {key[0] for key in logged(path, "users")} == {1, 2, 3}
    assert {key[:2] for key in logged(path, "lines")} == {("d", 1), ("d", 2)}
    assert {key[0] for key in logged(path, "notes")} == {1, 2, 3}
    assert look(path, known) == rows(path, f"select max(n) from {LOG}")[0][0]
    with application(path) as conn:
        conn.execute("delete from users")
        conn.execute("update sqlite_sequence set seq = 0 where name = 'users'")
        conn.execute("delete from notes")
        conn.execute("delete from sqlite_sequence where name = 'users'")
    assert await capture.uninstall(path, RUN)
    assert catalog(path) == before
    assert not await capture.uninstall(path, RUN)


@MODES
async def test_no_table_of_counters_stays_where_there_was_none(tmp_path: Path, mode: str) -> None:
    path = make(tmp_path / "a.db", "create table t(x unique); insert into t values (1)", mode=mode)
    before = catalog(path)
    with application(path) as other:
        other.execute("select * from t").fetchall()
        await installed(path)
        other.execute("insert or replace into t values (1)")
        await capture.uninstall(path, RUN)
        assert catalog(path) == before
        other.execute("create table later(id integer primary key autoincrement)")
        other.execute("insert into later default values")
        assert other.execute("select * from sqlite_sequence").fetchall() == [("later", 1)]
    assert catalog(path)


async def test_a_table_of_counters_that_others_use_stays(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "create table t(x)")
    await installed(path)
    with application(path) as conn:
        conn.execute("create table theirs(id integer primary key autoincrement)")
        conn.execute("insert into theirs default values")
    await capture.uninstall(path, RUN)
    assert rows(path, "select * from sqlite_sequence") == [("theirs", 1)]


async def test_a_resumed_engine_gets_the_same_answer(tmp_path: Path) -> None:
    path = make(tmp_path / "shop.db")
    made, known = await installed(path)
    with application(path) as conn:
        conn.execute("insert into users(email) values ('a')")
    assert await capture.install(path, made, RUN) == known
    assert {key[0] for key in logged(path, "users")} == {1}


async def test_the_capture_of_another_run_is_refused_by_name(tmp_path: Path) -> None:
    path = make(tmp_path / "shop.db")
    made, _ = await installed(path)
    before = catalog(path)
    for attempt in (capture.install(path, made, "other-20260101T000000-0002"), capture.uninstall(path, "other")):
        with pytest.raises(Refused) as caught:
            await attempt
        assert caught.value.code == "capture_leftover"
        assert RUN in str(caught.value)
    assert catalog(path) == before


async def test_a_name_of_ours_in_use_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "create table t(x); create table _sf_switch(theirs)")
    before = catalog(path)
    with pytest.raises(Refused, match="_sf_switch") as caught:
        await capture.install(path, plan(path), RUN)
    assert caught.value.code == "capture_leftover"
    assert catalog(path) == before


@pytest.mark.parametrize(
    "ddl",
    [
        "create unique index later on users(age)",
        "alter table users add column city",
        "drop table notes",
        "alter table users rename column age to years",
    ],
)
async def test_a_plan_of_another_schema_installs_nothing(tmp_path: Path, ddl: str) -> None:
    path = make(tmp_path / "shop.db")
    made = plan(path)
    with application(path) as conn:
        conn.execute("drop trigger touch")
        conn.execute(ddl)
    before = catalog(path)
    with pytest.raises(Drift) as caught:
        await capture.install(path, made, RUN)
    assert caught.value.code == "capture_table_changed"
    assert catalog(path) == before


async def test_a_misspelt_name_in_a_trigger_is_found(tmp_path: Path) -> None:
    """SQLite itself takes it: a quoted name that is no column is a text."""
    path = make(tmp_path / "a.db", "create table t(id integer primary key, name unique)")
    made = plan(path)
    wrong = {name: sql.replace('FROM "t" WHERE "name"', 'FROM "t" WHERE "nmae"') for name, sql in made.triggers.items()}
    assert wrong != made.triggers
    with pytest.raises(Drift):
        await capture.install(path, replace(made, tables=(replace(made.tables[0], triggers=wrong),)), RUN)
    with application(path) as conn:
        conn.execute(made.setup[0])
        for sql in wrong.values():
            conn.execute(sql)
        conn.execute("insert into t values (1, 'a')")
        conn.execute("insert or replace into t values (2, 'a')")
        assert set(conn.execute(f"select k1 from {LOG} where n > 1")) == {(2,)}  # 1 was lost


@MODES
async def test_with_writers_in_flight_no_write_is_lost_or_refused(tmp_path: Path, mode: str) -> None:
    path = make(tmp_path / "shop.db", mode=mode)
    async with writers(path, 3) as processes:
        for one in processes:
            await _line(one)  # the first lot is written
            _tell(one, "go")
        known = await capture.install(path, plan(path), RUN)
        then, mark = _users(path)
        for one in processes:
            _tell(one, "go")
        for _ in "12":
            for one in processes:
                await _line(one)
                _tell(one, "go")
        for one in processes:
            await _line(one)
            _tell(one, "stop")
        assert [await one.wait() for one in processes] == [0, 0, 0]  # no write was refused
    now, newest = _users(path)
    assert look(path, known) == newest
    changed = {k for k in then.keys() | now.keys() if then.get(k) != now.get(k)}
    assert len(changed) > 100
    assert changed <= {row[0] for row in rows(path, f"select k1 from {LOG} where tb = 'users' and n > ?", mark)}


def _users(path: Path) -> tuple[dict[int, str], int]:
    """The users and the newest log entry, of one moment."""
    with closing(open_living(path)) as conn:
        conn.execute("begin")
        return dict(conn.execute("select id, email from users")), capture.newest(conn)


@MODES
async def test_a_writer_that_stays_keeps_it_out_for_a_bounded_time(tmp_path: Path, mode: str) -> None:
    path = make(tmp_path / "shop.db", mode=mode)
    made = plan(path)
    before = catalog(path)
    with application(path) as conn:
        conn.execute("begin immediate")
        with pytest.raises(Held) as caught:
            await capture.install(path, made, RUN, patience_seconds=0.3)
        assert caught.value.code == "source_busy"
        conn.execute("insert into users(email) values ('mine')")
        conn.execute("commit")
    assert [r for r in catalog(path) if r[0] != "users"] == [r for r in before if r[0] != "users"]
    assert await capture.install(path, made, RUN)


async def test_it_waits_for_a_writer_to_end(tmp_path: Path) -> None:
    path = make(tmp_path / "shop.db")
    made = plan(path)
    with application(path) as conn:
        conn.execute("begin immediate")
        conn.execute("insert into users(email) values ('mine')")
        waiting = asyncio.create_task(capture.install(path, made, RUN))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        conn.execute("commit")
    known = await waiting
    assert look(path, known) == 0


async def test_pruning_keeps_what_is_above(tmp_path: Path) -> None:
    path = make(tmp_path / "shop.db")
    _, known = await installed(path)
    with application(path) as conn:
        conn.execute(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) insert into notes select i from n"
        )
    with closing(open_living(path)) as conn:
        size = capture.log_size(conn)
        assert (size.rows, size.newest) == (5_000, 5_000)
        assert 5_000 * 10 < size.bytes < 5_000 * 60
    assert await capture.prune(path, 4_501) == 4_500
    assert rows(path, f"select min(n), max(n), count(*) from {LOG} where n > 0") == [(4_501, 5_000, 500)]
    assert await capture.prune(path, 4_501) == 0
    assert await capture.prune(path, 10_000) == 499
    assert look(path, known) == 5_000  # numbers never come again
    with application(path) as conn:
        conn.execute("insert into notes values ('next')")
    assert rows(path, f"select n from {LOG} where n > 0") == [(5_000,), (5_001,)]
    with closing(open_living(path)) as conn:
        assert capture.log_size(conn).rows == 2


async def test_numbers_never_come_again_even_where_counters_are_reset(tmp_path: Path) -> None:
    path = make(tmp_path / "shop.db")
    _, known = await installed(path)
    with application(path) as conn:
        conn.execute("insert into notes values ('a'), ('b'), ('c')")
        assert await capture.prune(path, 100) == 2
        conn.execute("delete from sqlite_sequence")
        assert look(path, known, applied=3) == 3
        conn.execute("insert into notes values ('d')")
    assert look(path, known, applied=3) == 4


async def test_the_log_size_of_an_empty_log(tmp_path: Path) -> None:
    path = make(tmp_path / "shop.db")
    await installed(path)
    with closing(open_living(path, exact_rows=True)) as conn:
        assert capture.log_size(conn) == capture.LogSize(rows=0, newest=0, bytes=0)


@MODES
def test_the_application_keeps_its_journal_mode_and_its_checkpoints(tmp_path: Path, mode: str) -> None:
    path = make(tmp_path / "shop.db", mode=mode)
    with closing(open_application(path)) as conn:
        assert conn.execute("pragma journal_mode").fetchone() == (mode,)
        assert conn.execute("pragma wal_autocheckpoint").fetchone() == (0,)
        assert conn.execute("pragma foreign_keys").fetchone() == (0,)
        conn.execute("insert into notes values ('x')")
    assert rows(path, "pragma journal_mode") == [(mode,)]


def test_a_schema_that_cant_be_read_is_not_written_to(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", "create table t(x)")
    with application(path) as conn:
        conn.execute("pragma writable_schema = on")
        conn.execute("insert into sqlite_master values ('view', 'v', 'v', 0, 'create view v as selec 1')")
    with pytest.raises(Refused) as caught:
        open_application(path)
    assert caught.value.code == "source_schema_unreadable"


async def test_hostile_names_are_captured_as_they_are(tmp_path: Path) -> None:
    script = """create table "a"";drop table x;--"("p k" text, "new" int, "it's" unique, primary key ("p k", "new")) without rowid;
    create table "Ünï"(" " integer primary key, "select" text default 'x')"""
    path = make(tmp_path / "h.db", script)
    before = catalog(path)
    await installed(path)
    with application(path) as conn:
        conn.execute('insert into "a"";drop table x;--" values (?, ?, ?)', ("k", 1, "v"))
        conn.execute('insert or replace into "a"";drop table x;--" values (?, ?, ?)', ("l", 2, "v"))
        conn.execute('insert into "Ünï" default values')
    assert logged(path, 'a";drop table x;--') == {("k", 1), ("l", 2)}
    assert logged(path, "Ünï") == {(1, None)}
    with application(path) as conn:
        conn.execute('delete from "a"";drop table x;--"')
    await capture.uninstall(path, RUN)
    assert catalog(path) == before


def test_the_digest_tells_texts_and_tables_apart() -> None:
    one = [("trigger", "_sf_cap_a_bi", "a", "x")]
    assert triggers_digest(one) != triggers_digest([("trigger", "_sf_cap_a_bi", "b", "x")])
    assert triggers_digest(one) != triggers_digest([("trigger", "_sf_cap_a_bi", "a", "y")])
    assert triggers_digest(one) == triggers_digest([*one, ("trigger", "_sf_fence_insert_a", "a", "z")])


async def test_the_applications_own_triggers_come_back_on_removal(tmp_path: Path) -> None:
    path = make(tmp_path / "shop.db")
    before = catalog(path)
    await installed(path)
    with application(path) as conn:
        [(sql,)] = conn.execute("select sql from sqlite_master where name = 'touch'")
        conn.execute("drop trigger touch")
        conn.execute(
            f"update {CTL} set app_triggers = json_array(json_object('name', 'touch', 'table', 'users', 'sql', ?))",
            (sql,),
        )
    await capture.uninstall(path, RUN)
    assert catalog(path) == before


def test_sqlite_is_the_one_these_rules_were_tried_on() -> None:
    assert sqlite3.sqlite_version_info >= (3, 31)

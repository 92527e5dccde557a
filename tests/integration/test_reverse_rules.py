"""Which changes a step takes, and what stops the way back: late commits, idle sessions, TRUNCATE, DDL, gaps, other engines."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from stepflow_tui.engine.errors import Drift, Held, Refused, StepFlowError
from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.sensitive import Mask
from stepflow_tui.engine.model.types import ColumnType, DateForm, Kind
from stepflow_tui.engine.postgres import changelog, fence
from stepflow_tui.engine.postgres.changelog import Changes
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.sqlite import fence as lite_fence
from tests.copy_kit import BLOB, INTEGER, TEXT
from tests.reverse_kit import Pair, cut_over, live_table, new_file, new_reverse

SCRIPT = "create table t(id integer primary key, u text unique, x text)"


@asynccontextmanager
async def _pair(tmp_path: Path, target: Target, rows: int = 3, **changes: Any) -> AsyncIterator[Pair]:
    path = new_file(tmp_path, SCRIPT, {"t": [(i, f"u{i}", "x") for i in range(rows)]})
    async with cut_over(path, target, live_table(path, "t", {"id": INTEGER, "u": TEXT, "x": TEXT}), **changes) as pair:
        yield pair


async def _app(pair: Pair) -> asyncpg.Connection:
    conn = await pair.job.target.connect()
    await conn.execute("set search_path = public")
    return conn


async def _late_commit(pair: Pair) -> None:
    """The first to draw a number is the last to commit."""
    slow, quick = await _app(pair), await _app(pair)
    await slow.execute("begin; insert into t values (10, 'slow', '')")
    await quick.execute("insert into t values (11, 'quick', '')")
    await pair.reverse.step()
    await slow.execute("commit")
    await pair.reverse.step()
    await slow.close()
    await quick.close()


async def test_a_late_commit_is_not_skipped(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await _late_commit(pair)
        assert await pair.differences() == []


async def test_control_numbers_beyond_the_last_skip_it(
    tmp_path: Path, pg_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = 0

    async def beyond_the_last(conn: asyncpg.Connection, prev: str) -> Changes:
        nonlocal last
        rows = await conn.fetch("select id, tb, k from _stepflow.clog where id > $1 order by id", last)
        last = max([last, *(row[0] for row in rows)])
        keys = {tb: frozenset(tuple(r[2]) for r in rows if r[1] == tb) for tb in {r[1] for r in rows}}
        return Changes(snapshot=await changelog.snapshot_now(conn), keys=keys, whole=frozenset())

    monkeypatch.setattr(changelog, "changes_between", beyond_the_last)
    async with _pair(tmp_path, pg_target) as pair:
        await _late_commit(pair)
        assert await pair.differences() == ['t lacks (10,slow,"")']


async def _idle(pair: Pair) -> int:
    """Changes that arrive while a session idles in a transaction that has an id."""
    idle = await _app(pair)
    await idle.execute("begin; select pg_current_xact_id()")
    seen = 0
    for i in range(20, 30):
        await pair.pg("insert into t values ($1, null, '')", i)
        seen += (await pair.reverse.step()).changes
    await idle.close()
    return seen


async def test_an_idle_session_stalls_nothing(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        assert await _idle(pair) == 10
        assert await pair.differences() == []
        assert (await pair.lag()).changes == 0


async def test_control_the_oldest_transaction_as_horizon_stalls(
    tmp_path: Path, pg_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def below_the_horizon(conn: asyncpg.Connection, prev: str) -> Changes:
        rows = await conn.fetch("select tb, k from _stepflow.clog where xid < pg_snapshot_xmin(pg_current_snapshot())")
        return Changes(
            snapshot=await changelog.snapshot_now(conn), keys={"t": frozenset(tuple(r[1]) for r in rows)} if rows else {}, whole=frozenset()
        )  # fmt: skip

    monkeypatch.setattr(changelog, "changes_between", below_the_horizon)
    async with _pair(tmp_path, pg_target) as pair:
        assert await _idle(pair) == 0


async def test_rollbacks_and_subtransactions(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        app = await _app(pair)
        await app.execute("begin; insert into t values (10, 'never', ''); rollback")
        await app.execute("begin; insert into t values (11, 'a', ''); savepoint s; insert into t values (12, 'b', '');"
                          " update t set x = 'gone' where id = 0; rollback to s; insert into t values (13, 'c', ''); commit")  # fmt: skip
        tick = await pair.reverse.step()
        assert (tick.changes, tick.rows) == (2, 2)
        assert await pair.differences() == []
        await app.close()


async def test_own_writes_are_not_logged(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await pair.pg("select set_config('stepflow.origin', 'stepflow', false)")
        app = await _app(pair)
        await app.execute(
            "begin; set local stepflow.origin = 'stepflow'; insert into t values (10, 'ours', ''); commit"
        )
        await app.execute("insert into t values (11, 'theirs', '')")
        assert (await pair.reverse.step()).changes == 1
        await app.close()


async def test_truncate_and_what_is_written_after_it(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        app = await _app(pair)
        await app.execute(
            "begin; insert into t values (10, 'before', ''); truncate t; insert into t values (11, 'after', ''); commit"
        )
        assert (await pair.reverse.step()).whole
        assert pair.lite("select u from t") == [("after",)]
        await app.execute("truncate t")
        await pair.reverse.drain()
        assert pair.lite("select count(*) from t") == [(0,)]
        await app.close()


async def test_rows_without_a_key_of_their_own(tmp_path: Path, pg_target: Target) -> None:
    path = new_file(tmp_path, "create table n(a text, b blob)", {"n": [("x", b"1"), ("x", b"1"), (None, None)]})
    async with cut_over(path, pg_target, live_table(path, "n", {"a": TEXT, "b": BLOB})) as pair:
        await pair.pg("insert into n (a) values ('new'), ('new')")
        await pair.pg("delete from n where ctid = (select min(ctid) from n where a = 'x')")
        await pair.pg("update n set b = '\\x00' where a is null")
        assert (await pair.reverse.step()).whole
        assert await pair.differences() == []
        assert pair.lite("select rowid, a, b from n") == [
            (2, "x", b"1"),
            (3, None, b"\x00"),
            (4, "new", None),
            (5, "new", None),
        ]


async def test_composite_keys_generated_columns_and_without_rowid(tmp_path: Path, pg_target: Target) -> None:
    script = (
        'create table "w""x"(a integer not null, b text not null, c text, up text as (upper(c)) stored, low text as (lower(c)),'
        " primary key (a, b)) without rowid"
    )
    path = new_file(tmp_path, script)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("insert into \"w\"\"x\"(a, b, c) values (1, 'ä', 'Ab'), (1, 'b', null)")
        conn.commit()
    table = live_table(path, 'w"x', {"a": INTEGER, "b": TEXT, "c": TEXT})
    extra = ColumnPlan(source="up", target="up", declared="text", type=TEXT, generated="upper(c)")
    table = replace(table, columns=(*table.columns, extra))
    async with cut_over(path, pg_target, table) as pair:
        await pair.pg("insert into \"w\"\"x\" (a, b, c) values (2, 'it''s \"q\"', 'New')")
        await pair.pg("update \"w\"\"x\" set b = 'moved' where b = 'ä'")
        await pair.pg('delete from "w""x" where b = \'b\'')
        assert (await pair.reverse.step()).whole
        assert await pair.differences() == []
        rows = pair.lite('select a, b, up, low from "w""x" order by a')
        assert rows == [(1, "moved", "AB", "ab"), (2, 'it\'s "q"', "NEW", "new")]


async def test_a_role_without_rights_in_any_session_is_logged(tmp_path: Path, pg_target: Target) -> None:
    """No right on our schema, another search_path with tables in the way, odd settings, replica mode."""
    path = new_file(
        tmp_path, "create table w(at text not null, b blob not null, x text, primary key (at, b)) without rowid"
    )
    with closing(sqlite3.connect(path)) as conn:
        conn.executemany(
            "insert into w values (?, ?, 'x')", [("2024-02-29T00:00:00", b"\x01"), ("2024-03-01 10:00:00.5", b"")]
        )
        conn.commit()
    at = ColumnType(kind=Kind.TIMESTAMP, sql="timestamp", form=DateForm.SPACE)
    async with cut_over(path, pg_target, live_table(path, "w", {"at": at, "b": BLOB, "x": TEXT})) as pair:
        app, role = await _app(pair), f"app_{pg_target.database}"
        await app.execute(
            f"create role {role}; grant select, insert, update, delete on w to {role}; create schema evil;"
            " create table evil.clog (tb text, k text[]); create function evil.array_append() returns text language sql as 'select null';"
            f" grant usage on schema evil to {role}; set session_replication_role = replica; set role {role};"
            " set search_path = evil, public; set datestyle = 'German'; set timezone = 'Asia/Tokyo'; set bytea_output = 'escape'"
        )
        await app.execute("update public.w set x = 'y' where b = '\\x01'; delete from public.w where b = ''")
        await app.execute("insert into public.w values ('24.12.2024 12:00:00.000001', '\\xff00', 'new')")
        await app.execute(f"reset role; drop owned by {role}; drop role {role}")
        assert await app.fetchval("select count(*) from evil.clog") == 0
        await app.close()
        assert (await pair.reverse.step()).changes == 3
        assert await pair.differences() == []
        # the row that changed keeps the form its key was written in
        assert pair.lite("select at, b, x from w order by at") == [
            ("2024-02-29T00:00:00", b"\x01", "y"), ("2024-12-24 12:00:00.000001", b"\xff\x00", "new"),
        ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
async def test_utf16_files(tmp_path: Path, pg_target: Target, encoding: str) -> None:
    path = new_file(tmp_path, SCRIPT, {"t": [(1, "ä\U0001f600", "x"), (2, "b", None)]}, encoding)
    table = live_table(path, "t", {"id": INTEGER, "u": TEXT, "x": TEXT})
    async with cut_over(path, pg_target, table, encoding=encoding) as pair:
        await pair.pg("update t set x = u")
        await pair.pg("insert into t values (3, '中\U0001f601', '')")
        assert (await pair.reverse.step()).whole
        assert pair.lite("select * from t") == [
            (1, "ä\U0001f600", "ä\U0001f600"),
            (2, "b", "b"),
            (3, "中\U0001f601", ""),
        ]


async def test_blockers_stay_known_to_the_next_engine_and_free_others(tmp_path: Path, pg_target: Target) -> None:
    path = new_file(tmp_path, "create table t(id integer primary key, u text unique collate nocase)", {"t": [(1, "a")]})
    mask = Mask(key=b"k", columns={"t": frozenset({"id"})})
    async with cut_over(path, pg_target, live_table(path, "t", {"id": INTEGER, "u": TEXT}), mask=mask) as pair:
        await pair.pg("insert into t values (2, 'A')")
        assert not (await pair.reverse.step()).whole
        [blocker] = await pair.blockers()
        assert blocker.key[0].startswith("#fp:")
        assert "UNIQUE" in blocker.reason
        again = new_reverse(pair.job)
        tick = await again.step()  # tries it once, in vain
        assert (tick.changes, tick.blocked) == (0, 1)
        await pair.pg("update t set u = 'b' where id = 1")  # another row makes room
        assert (await again.step()).whole
        assert await pair.blockers() == []
        assert await pair.differences() == []
        await again.close()


async def _stopped(pair: Pair, kind: type[StepFlowError]) -> str:
    with pytest.raises(kind) as caught:
        await pair.reverse.step()
    assert caught.value.hint
    return caught.value.code


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("alter table t add column extra text", "target_schema_changed"),
        ("alter table t drop column x", "target_schema_changed"),
        ("alter table t drop column x, add column x text", "target_schema_changed"),
        ("alter table t alter column x type varchar(10)", "target_schema_changed"),
        ("alter table t rename column x to y", "target_schema_changed"),
        ("alter table t disable trigger zzz_stepflow_log", "changelog_trigger"),
        ("alter table t enable trigger zzz_stepflow_log", "changelog_trigger"),
        ("drop trigger zzz_stepflow_truncate on t", "changelog_trigger"),
        ("alter table t disable trigger user", "changelog_trigger"),
        ("drop table t", "target_changed"),
    ],
)
async def test_ddl_in_postgresql_blocks_the_way_back(tmp_path: Path, pg_target: Target, sql: str, code: str) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await pair.pg(sql)
        assert await _stopped(pair, Drift) == code


async def test_an_altered_function_is_noticed(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        [(name,)] = await pair.pg(
            "select proname::text from pg_proc where proname like 'log\\_%' and pronamespace = '_stepflow'::regnamespace"
        )
        await pair.pg(
            f"create or replace function _stepflow.{name}() returns trigger language plpgsql security definer as $$begin return null; end$$"
        )
        assert await _stopped(pair, Drift) == "changelog_trigger"


async def test_a_log_with_a_hole_is_mended_as_a_whole(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await pair.pg("alter table t disable trigger zzz_stepflow_log")
        await pair.pg("delete from t where id = 0")
        assert await _stopped(pair, Drift) == "changelog_trigger"
        tick = await pair.reverse.mend()
        assert (tick.rows, tick.whole) == (2, True)
        assert await pair.differences() == []
        await pair.pg("delete from t where id = 1")
        assert (await pair.reverse.step()).changes == 1
        await pair.pg("alter table t add column extra text")
        with pytest.raises(Drift) as caught:
            await pair.reverse.mend()
        assert caught.value.code == "target_schema_changed"
        assert "new: extra text" in caught.value.detail


async def test_an_open_file_takes_nothing(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await pair.pg("insert into t values (10, 'a', '')")
        await lite_fence.lift_fence(pair.job.source)
        assert await _stopped(pair, Refused) == "not_fenced"
        assert pair.lite("select count(*) from t") == [(3,)]


@pytest.mark.parametrize("what", ["vacuum", "create index i on t(x)", "drop trigger _sf_fence_insert_t"])
async def test_a_changed_file_is_noticed(tmp_path: Path, pg_target: Target, what: str) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await pair.pg("insert into t values (10, 'a', '')")
        pair.lite(what)
        assert (await _stopped(pair, Drift)).startswith("capture_")
        assert pair.lite("select count(*) from t") == [(3,)]


async def test_a_replaced_file_is_noticed(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await pair.pg("insert into t values (10, 'a', '')")
        await pair.reverse.step()
        pair.lite("pragma wal_checkpoint(truncate)")
        copy = tmp_path / "copy.db"
        shutil.copy(pair.job.source, copy)
        copy.replace(pair.job.source)
        assert await _stopped(pair, Drift) == "capture_file_replaced"


async def test_an_older_copy_of_the_file_finds_the_gap_and_is_refreshed(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await pair.reverse.close()
        older = tmp_path / "older.db"
        pair.lite("pragma wal_checkpoint(truncate)")
        shutil.copy(pair.job.source, older)
        reverse = new_reverse(pair.job)
        await pair.pg("insert into t values (10, 'a', '')")
        await reverse.step()  # and purged from the log
        await reverse.close()
        for suffix in ("-wal", "-shm"):
            Path(f"{pair.job.source}{suffix}").unlink(missing_ok=True)
        older.replace(pair.job.source)
        pair.reverse = new_reverse(pair.job)
        await pair.pg("insert into t values (11, 'b', '')")
        assert await _stopped(pair, Drift) == "reverse_gap"
        assert len(await pair.differences()) == 2
        assert (await pair.reverse.refresh()).whole
        assert await pair.differences() == []
        await pair.pg("insert into t values (12, 'c', '')")
        assert (await pair.reverse.step()).changes == 1
        await pair.reverse.close()


async def test_a_second_engine_is_shut_out(tmp_path: Path, pg_target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes a step between another one's look and its transaction."""
    async with _pair(tmp_path, pg_target) as pair:
        other = new_reverse(pair.job)
        await pair.pg("insert into t values (10, 'a', '')")
        between = changelog.changes_between

        async def meanwhile(conn: asyncpg.Connection, prev: str) -> Changes:
            found = await between(conn, prev)
            monkeypatch.setattr(changelog, "changes_between", between)
            await pair.pg("insert into t values (11, 'b', '')")
            await other.step()
            return found

        monkeypatch.setattr(changelog, "changes_between", meanwhile)
        assert await _stopped(pair, Held) == "superseded"
        await other.close()
        assert await pair.differences() == []


async def test_a_reader_of_a_rollback_journal_is_waited_for(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target, wait_seconds=0.05) as pair:
        await pair.reverse.close()
        pair.lite("pragma journal_mode=delete")
        pair.reverse = new_reverse(pair.job)
        await pair.pg("insert into t values (10, 'a', '')")
        with closing(sqlite3.connect(pair.job.source, isolation_level=None)) as reader:
            reader.execute("begin")
            reader.execute("select * from t").fetchall()
            assert await _stopped(pair, Held) == "source_busy"
        assert (await pair.reverse.step()).whole
        assert await pair.differences() == []
        await pair.reverse.close()


async def test_behind_the_closed_gate_a_drain_is_the_end(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        app = await _app(pair)
        await app.execute("insert into t values (10, 'a', '')")
        assert (await pair.lag()).changes == 1
        gate = await fence.gate_state(app)
        await fence.close_writes(app, pair.job.tables, version=gate.version, wait=5)
        assert (await pair.reverse.drain()).whole
        assert (await pair.lag()).changes == 0
        await lite_fence.lift_fence(pair.job.source)
        await changelog.remove_changelog(app, pair.job.tables, wait=5)
        await fence.remove_gate(app, pair.job.tables, wait=5)
        assert await app.fetchval("select count(*) from pg_trigger where not tgisinternal") == 0
        assert await pair.differences() == []
        # the log goes on where the tail has read it to
        with closing(sqlite3.connect(pair.job.source)) as conn:
            conn.execute("insert into t values (11, 'sqlite again', '')")
            conn.commit()
            assert conn.execute("select min(n), max(n) from _sf_log where n > 0").fetchone() == (1, 1)
        await app.close()


async def test_it_goes_on_after_its_session_was_ended(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        running = asyncio.create_task(pair.reverse.run())
        app = await _app(pair)
        for i in range(10, 40):
            await app.execute("insert into t values ($1, null, '')", i)
            await app.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()")  # fmt: skip
        async with asyncio.timeout(20):
            while await pair.differences():
                assert not running.done()
        running.cancel()
        await app.close()

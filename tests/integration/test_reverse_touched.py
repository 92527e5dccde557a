"""Before writes go back only what was touched is compared: nothing that differs may be among the rest."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.errors import Different, Drift, TargetConnectionError
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.live.verifier import LiveVerifier
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.types import ColumnType, Kind
from stepflow_tui.engine.postgres import changelog, progress, touched
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.steps.live.proof_back import Returned, StillPoints, compare_back
from stepflow_tui.engine.verify.job import VerifyJob
from tests.copy_kit import BLOB, INTEGER, TEXT
from tests.faults.proxy import Cut, proxied
from tests.reverse_kit import RUN, Pair, cut_over, live_table, new_file, new_reverse

SCRIPT = """
create table t(id integer primary key, u text unique collate nocase, x text);
create table w(k text not null, part integer not null, x blob, primary key (k, part)) without rowid;
create table bare(a text);
create table d(k numeric not null primary key, x text) without rowid;
"""
NUMERIC = ColumnType(kind=Kind.DECIMAL, sql="numeric(10,2)")


@asynccontextmanager
async def _pair(tmp_path: Path, target: Target) -> AsyncIterator[Pair]:
    """Tables with keys of one number, of several parts, of none, and one whose text has many forms."""
    path = new_file(
        tmp_path,
        SCRIPT,
        {
            "t": [(i, f"u{i}", "x") for i in range(20)],
            "w": [(f"k{i}", i % 3, b"x") for i in range(20)],
            "bare": [(f"row {i}",) for i in range(20)],
            "d": [(i + 0.5, "x") for i in range(20)],
        },
    )
    tables = (
        live_table(path, "t", {"id": INTEGER, "u": TEXT, "x": TEXT}),
        live_table(path, "w", {"k": TEXT, "part": INTEGER, "x": BLOB}),
        live_table(path, "bare", {"a": TEXT}),
        live_table(path, "d", {"k": NUMERIC, "x": TEXT}),
    )
    async with cut_over(path, target, *tables) as pair:
        conn = await target.connect()
        await progress.start(conn, RUN, 1, 0)
        await conn.close()
        yield pair


CHANGES = (
    "update t set x = 'new' where id < 5",
    "update t set id = 100, u = 'MOVED' where id = 7",
    "delete from t where id = 8",
    "delete from w where k = 'k3'",
    "update w set part = 9 where k = 'k4'",
    "insert into w values ('k''50', 1, '\\x00ff')",
    "delete from bare where a = 'row 3'",
    "insert into bare(a) values ('new')",
    "update d set k = 77.25 where k = 3.5",
    "delete from d where k = 4.5",
)


async def _changed(pair: Pair) -> None:
    """Written in PostgreSQL and brought over, half of it purged from the log in steps before."""
    for sql in CHANGES:
        await pair.pg(sql)
        await pair.reverse.step()
    await pair.reverse.drain()


async def _proven(pair: Pair) -> Returned:
    job = VerifyJob(
        level=Level.STANDARD, source=pair.job.source, frozen=False, target=pair.job.target, tables=pair.job.tables
    )
    verifier = LiveVerifier(job, StillPoints(job.source, job.target), run=RUN, clock=SystemClock())
    try:
        async with StillPoints(job.source, job.target).point() as point:
            return await compare_back(verifier, point, RUN)
    finally:
        await verifier.close()


def _tamper(pair: Pair, sql: str, *, logged: bool) -> None:
    """Write to the fenced file as nobody may."""
    with closing(sqlite3.connect(pair.job.source)) as conn:
        conn.execute("update _sf_ctl set writer='stepflow'")
        conn.execute(sql)
        conn.execute("update _sf_ctl set writer=''")
        if not logged:
            conn.execute("delete from _sf_log where n > 0")
        conn.commit()


@contextmanager
def _kept(pair: Pair) -> Iterator[None]:
    """The file is afterwards what it was before, schema version included."""
    with closing(sqlite3.connect(pair.job.source)) as conn:
        names = {t.source: "rowid," if t.rowid_column else "" for t in pair.job.tables}
        rows = {name: conn.execute(f"select {rowid}* from {name}").fetchall() for name, rowid in names.items()}
        try:
            yield
        finally:
            for name, rowid in names.items():
                columns = rowid + ",".join(d[0] for d in conn.execute(f"select * from {name}").description)
                conn.execute("update _sf_ctl set writer='stepflow'")
                conn.execute(f"delete from {name}")
                marks = ",".join("?" for _ in columns.split(","))
                conn.executemany(f"insert into {name}({columns}) values ({marks})", rows[name])
            conn.execute("update _sf_ctl set writer=''")
            conn.execute("delete from _sf_log where n > 0")
            conn.commit()


async def test_what_was_touched_is_compared_and_nothing_else(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await _changed(pair)
        proven = await _proven(pair)
        assert (proven.keys, proven.whole) == (17, ())
        assert await pair.differences() == []


TAMPERED = (
    "update t set x = 'stale' where id = 3",
    "delete from t where id = 100",
    "insert into t values (8, 'undead', 'x')",
    "insert into w values ('k3', 0, x'')",
    "update w set x = x'01' where k = 'k4'",
    "insert into d values (4.5, 'undead')",
    "delete from d where k = 77.25",
    "insert into bare(rowid, a) values (4, 'undead')",
)


async def test_every_touched_row_that_differs_is_found(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await _changed(pair)
        for sql in TAMPERED:
            with _kept(pair):
                _tamper(pair, sql, logged=False)
                assert await pair.differences()
                with pytest.raises(Different):
                    await _proven(pair)
            await _proven(pair)


async def test_what_was_written_past_the_fence_is_found(tmp_path: Path, pg_target: Target) -> None:
    """The source's own log names it, though PostgreSQL never touched that row."""
    async with _pair(tmp_path, pg_target) as pair:
        await _changed(pair)
        _tamper(pair, "update t set x = 'past the fence' where id = 15", logged=True)
        with pytest.raises(Different):
            await _proven(pair)


async def test_an_emptied_table_is_compared_as_a_whole(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await _changed(pair)
        await pair.pg("truncate bare")
        await pair.reverse.drain()
        assert (await _proven(pair)).whole == ("bare",)
        _tamper(pair, "insert into bare values ('undead')", logged=False)
        with pytest.raises(Different):
            await _proven(pair)


LOST = ("delete from _stepflow.touched where tb = 't'", "truncate _stepflow.kept", "drop table _stepflow.touched")


async def test_a_list_that_somebody_shortened_is_not_believed(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await _changed(pair)
        for sql in LOST:
            await pair.pg(sql)
            assert (await _proven(pair)).whole == ("bare", "d", "t", "w")
        _tamper(pair, "update t set x = 'stale' where id = 3", logged=False)
        with pytest.raises(Different):
            await _proven(pair)


async def test_control_a_shortened_list_that_is_believed_misses_it(
    tmp_path: Path, pg_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def believed(conn: Any) -> bool:
        return True

    monkeypatch.setattr(touched, "is_sound", believed)
    async with _pair(tmp_path, pg_target) as pair:
        await _changed(pair)
        await pair.pg(LOST[0])
        _tamper(pair, "update t set x = 'stale' where id = 3", logged=False)
        await _proven(pair)
        assert await pair.differences()


async def test_rows_that_sqlite_cannot_hold_may_be_missing_there_and_nothing_else(
    tmp_path: Path, pg_target: Target
) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await pair.pg("insert into t values (200, 'U5', 'SQLite compares without case')")
        assert (await pair.reverse.drain()).blocked == 1
        assert (await _proven(pair)).keys == 1
        _tamper(pair, "insert into t values (200, 'undead', 'x')", logged=False)
        with pytest.raises(Different):
            await _proven(pair)


BEHIND_THE_LOG = (
    "alter table t disable trigger zzz_stepflow_log",
    "update t set x = 'behind the log' where id = 15",
    "alter table t enable always trigger zzz_stepflow_log",
)


async def test_a_log_that_was_off_for_a_while_is_noticed_and_mended(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        for sql in BEHIND_THE_LOG:
            await pair.pg(sql)
        with pytest.raises(Drift) as caught:
            await pair.reverse.drain()
        assert caught.value.code == "changelog_trigger"
        await pair.reverse.mend()
        assert (await _proven(pair)).whole == ("bare", "d", "t", "w")
        assert await pair.differences() == []


async def test_control_without_the_triggers_versions_it_is_not(
    tmp_path: Path, pg_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else would notice it: not the log, and not a comparison of what the log named."""
    monkeypatch.setattr(changelog, "_versions", lambda tables, found: {t.source: "" for t in tables})
    async with _pair(tmp_path, pg_target) as pair:
        for sql in BEHIND_THE_LOG:
            await pair.pg(sql)
        await pair.reverse.drain()
        await _proven(pair)
        assert await pair.differences()


async def test_the_file_is_looked_at_while_nothing_changes(tmp_path: Path, pg_target: Target) -> None:
    async with _pair(tmp_path, pg_target) as pair:
        await pair.reverse.drain()
        pair.lite("drop trigger _sf_fence_insert_t")
        with pytest.raises(Drift) as caught:
            await pair.reverse.drain()
        assert caught.value.code == "capture_schema_changed"


async def test_connections_break_around_every_commit(tmp_path: Path, pg_target: Target) -> None:
    """Blockers, purge and count are committed in PostgreSQL: whatever the answer was, the next step goes on rightly."""
    kinds = (Cut.BEFORE, Cut.WITHIN, Cut.AFTER, Cut.RESET)
    async with _pair(tmp_path, pg_target) as pair, proxied(pg_target) as proxy:
        job = replace(pair.job, target=replace(proxy.target, schema=pg_target.schema))
        reverse = new_reverse(job)
        await reverse.step()
        for turn in range(24):
            await pair.pg(f"insert into t values ({1000 + turn}, 'cut {turn}', 'x')")
            await pair.pg(f"update t set x = 'turn {turn}' where id = {turn % 5}")
            proxy.plan = itertools.chain(itertools.repeat(Cut.NONE, turn // 4 % 3), [kinds[turn % 4]])
            while True:
                try:
                    if not (await reverse.step()).changes:
                        break
                except TargetConnectionError:
                    continue
        await reverse.close()
        assert len([c for c in proxy.cuts if c is not Cut.NONE]) >= 8
        assert (await _proven(pair)).whole == ()
        assert await pair.differences() == []

"""The switch's row, functions and lease copy in real databases."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from stepflow_tui.client import VECTORS, Lease, LeaseFile, bucket
from stepflow_tui.engine.model.live import CTL
from stepflow_tui.engine.postgres import control
from stepflow_tui.engine.postgres import switch as store
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.live_tables import install_live
from stepflow_tui.engine.sqlite.lease import LeaseCopy, LeaseOutcome, write_lease
from tests.switch_kit import RUN, captured

COPY = LeaseCopy(version=3, share=2_500, salt="s", groups=("beta",), until_ms=4_000_000_000_000)


@pytest.fixture
async def conn(pg_target: Target) -> AsyncIterator[asyncpg.Connection]:
    connection = await pg_target.connect()
    await control.install(connection, RUN)
    await install_live(connection)
    await store.install_switch(connection)
    yield connection
    connection.terminate()


@pytest.fixture(params=["wal", "delete"])
def source(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return captured(tmp_path / "shop.db", request.param)


async def test_sql_and_python_agree_on_every_bucket(conn: asyncpg.Connection) -> None:
    keys = [(salt, bytes.fromhex(raw)) for salt, raw, _ in VECTORS]
    keys += [(salt, str(n).encode()) for n in range(2_000) for salt in ("", "sälz", "a1b2c3d4e5f60718")]
    keys += [("x", bytes([n % 256]) * (n % 97)) for n in range(1_000)]
    found = await conn.fetch(
        "select _stepflow.bucket(s, k) from unnest($1::text[], $2::bytea[]) with ordinality as t(s, k, n) order by n",
        [s for s, _ in keys],
        [k for _, k in keys],
    )
    assert [row[0] for row in found] == [bucket(s, k) for s, k in keys]
    assert [row[0] for row in found[: len(VECTORS)]] == [expected for _, _, expected in VECTORS]


async def test_of_two_writers_one_fails_and_looks_again(conn: asyncpg.Connection, pg_target: Target) -> None:
    row = await store.take_over(conn, "gradual", ("beta",))
    assert (row.share, row.stage, row.armed, row.held, row.groups) == (0, 0, True, False, ("beta",))
    others = await asyncio.gather(*(pg_target.connect() for _ in range(6)))
    results = await asyncio.gather(
        *(store.change_switch(c, row, replace(row, share=100 * n)) for n, c in enumerate(others, start=1))
    )
    won = [r for r in results if r is not None]
    assert len(won) == 1
    assert await store.read_switch(conn) == won[0]
    assert won[0].version == row.version + 1
    for other in others:
        await other.close()


async def test_a_new_engine_takes_the_row_over_and_the_old_one_can_write_no_more(conn: asyncpg.Connection) -> None:
    old = await store.take_over(conn, "gradual", ())
    old = await store.change_switch(conn, old, replace(old, share=2_500, stage=2)) or old
    new = await store.take_over(conn, "gradual", ("beta",))
    assert (new.share, new.stage, new.salt, new.groups) == (2_500, 2, old.salt, ("beta",))
    assert await store.change_switch(conn, old, replace(old, share=10_000)) is None
    other = await store.take_over(conn, "canary", ())
    assert (other.share, other.stage, other.salt) == (2_500, 0, old.salt)


async def test_reports_come_through_the_function_and_only_through_it(conn: asyncpg.Connection) -> None:
    role = f"app_{RUN[-4:]}_{id(conn)}"
    await conn.execute(f'create role "{role}"')
    try:
        await store.install_switch(conn, [role])
        await store.take_over(conn, "gradual", ())
        await conn.execute(f'set role "{role}"')
        for n in range(3):
            assert await conn.fetchval("select _stepflow.report($1, $2)", "r", str(n))
        assert not await conn.fetchval("select _stepflow.report($1, $2)", "r", "x" * 70_000)
        assert await conn.fetchval("select _stepflow.bucket('s', 'k')") == bucket("s", b"k")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("update _stepflow.switch set share = 10000")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("select * from _stepflow.reads")
        await conn.execute("reset role")
        assert [r.body for r in await store.take_reports(conn, 2)] == ["0", "1"]
        assert [r.body for r in await store.take_reports(conn)] == ["2"]
        assert await store.take_reports(conn) == []
    finally:
        await conn.execute(f'reset role; drop owned by "{role}"; drop role "{role}"')


async def test_a_role_without_grant_may_not_report(conn: asyncpg.Connection) -> None:
    role = f"stranger_{id(conn)}"
    await conn.execute(f'create role "{role}"; grant usage on schema _stepflow to "{role}"; set role "{role}"')
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("select _stepflow.report('r', '{}')")
    finally:
        await conn.execute(f'reset role; drop owned by "{role}"; drop role "{role}"')


async def test_a_transaction_that_commits_late_loses_no_report(conn: asyncpg.Connection, pg_target: Target) -> None:
    await store.take_over(conn, "gradual", ())
    late = await pg_target.connect()
    await late.execute("begin; select _stepflow.report('late', '1')")
    await conn.execute("select _stepflow.report('early', '2')")
    assert [r.router for r in await store.take_reports(conn)] == ["early"]
    await late.execute("commit")
    assert [r.router for r in await store.take_reports(conn)] == ["late"]
    await late.close()


async def test_nobody_listening_bounds_what_waits(conn: asyncpg.Connection) -> None:
    await conn.execute(
        f"insert into _stepflow.reads (router, body) select 'r', '{{}}' from generate_series(0, {store.MOST_REPORTS} + 1)"
    )
    assert await conn.fetchval("select _stepflow.report('r', '{}')") is False


async def test_the_lease_is_written_and_read_back(source: Path) -> None:
    assert await write_lease(source, RUN, COPY) is LeaseOutcome.WRITTEN
    file = LeaseFile(source)
    assert file() == Lease(
        owner="sqlite", version=3, share=2_500, salt="s", groups=frozenset({"beta"}), until_ms=4_000_000_000_000
    )
    with sqlite3.connect(source) as app:
        app.execute(f"update {CTL} set owner='postgresql', fenced=1")
    app.close()
    assert file() == Lease(
        owner="postgresql", fenced=True, version=3, share=2_500, salt="s", groups=frozenset({"beta"}),
        until_ms=4_000_000_000_000,
    )  # fmt: skip
    file.close()


async def test_an_older_version_never_replaces_a_newer_one(source: Path) -> None:
    await write_lease(source, RUN, COPY)
    assert await write_lease(source, RUN, replace(COPY, version=2, share=9_999)) is LeaseOutcome.NEWER
    assert await write_lease(source, RUN, replace(COPY, share=0, until_ms=0)) is LeaseOutcome.WRITTEN
    file = LeaseFile(source)
    found = file()
    file.close()
    assert found is not None
    assert (found.share, found.until_ms) == (0, 0)


async def test_another_runs_file_is_left_alone(source: Path, tmp_path: Path) -> None:
    assert await write_lease(source, "another", COPY) is LeaseOutcome.GONE
    bare = tmp_path / "bare.db"
    sqlite3.connect(bare).execute("create table t(x)").connection.close()
    assert await write_lease(bare, RUN, COPY) is LeaseOutcome.GONE
    with sqlite3.connect(bare) as app:
        assert [r[0] for r in app.execute("select name from sqlite_schema")] == ["t"]
    app.close()


async def test_a_writing_application_is_never_waited_for_nor_disturbed(source: Path) -> None:
    app = sqlite3.connect(source, isolation_level=None, timeout=0)
    app.execute("create table t(x)")
    app.execute("begin immediate")
    app.execute("insert into t values (1)")
    assert await write_lease(source, RUN, COPY) is LeaseOutcome.BUSY
    app.execute("commit")
    assert await write_lease(source, RUN, COPY) is LeaseOutcome.WRITTEN
    assert app.execute("select count(*) from t").fetchone()[0] == 1
    app.close()


async def test_writers_in_a_storm_are_not_refused_longer_than_they_wait(source: Path) -> None:
    with sqlite3.connect(source) as made:
        made.execute("create table t(x)")
    made.close()
    stop, errors, done = threading.Event(), list[Exception](), [0]

    def write() -> None:
        app = sqlite3.connect(source, timeout=5)
        while not stop.is_set():
            try:
                with app:
                    app.execute("insert into t values (1)")
                done[0] += 1
            except sqlite3.OperationalError as error:
                errors.append(error)
        app.close()

    writer = threading.Thread(target=write)
    writer.start()
    outcomes = [await write_lease(source, RUN, replace(COPY, version=3 + n)) for n in range(10)]
    stop.set()
    await asyncio.to_thread(writer.join)
    assert not errors
    assert done[0] > 0
    assert set(outcomes) <= {LeaseOutcome.WRITTEN, LeaseOutcome.BUSY}
    assert LeaseOutcome.WRITTEN in outcomes

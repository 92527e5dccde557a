"""The way back under load, its engine killed over and over: no row missing, extra or stale in SQLite."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.postgres.connect import Target
from tests.copy_kit import BLOB, INTEGER, TEXT
from tests.reverse_kit import RUN, Pair, cut_over, live_table, new_file

SCRIPT = """
create table t(id integer primary key, u text unique, n, x text);
create table w(k text not null, part integer not null, x blob, primary key (k, part)) without rowid;
create table bare(a text, b text);
create table audit(id);
create trigger t_audit after insert on t begin insert into audit values (new.id); end;
create trigger t_touch after update on t begin update t set x = 'touched' where id = new.id; end;
"""
WRITERS = 7
POINTS = (
    "reverse_begun", "reverse_deleted", "reverse_inserted", "reverse_listed", "reverse_commit", "reverse_committed", "reverse_purged",
)  # fmt: skip


def test_every_failpoint_is_used() -> None:
    sources = "".join(p.read_text() for p in Path("stepflow_tui/engine/live").glob("reverse*.py"))
    assert set(re.findall(r'failpoint\("(\w+)"\)', sources)) == set(POINTS)


async def _write(conn: asyncpg.Connection, dice: random.Random, number: int) -> None:
    """One transaction of the application's. Values are unique per writer, so that only swaps meet."""
    i, u = dice.randrange(40), f"{number}-{dice.randrange(20)}"
    kind = dice.randrange(12)
    if kind < 3:
        await conn.execute(
            "insert into t (id, u, n, x) values ($1, $2, $3, 'i') on conflict (id) do update set n = excluded.n, x = 'upserted'",
            number * 1000 + i, None if dice.random() < 0.3 else u, str(dice.randrange(5)),
        )  # fmt: skip
    elif kind == 3:
        await conn.execute("update t set x = 'u' || $1::text where id % 7 = $2", str(dice.random()), number % 7)
    elif kind == 4:
        await conn.execute("update t set id = $2 where id = $1", number * 1000 + i, number * 1000 + 500 + i)
    elif kind == 5:
        await conn.execute("delete from t where id between $1 and $2", number * 1000 + i, number * 1000 + i + 2)
    elif kind == 6:
        await _swap(conn, number)
    elif kind == 7:
        await conn.execute(
            "insert into w values ($1, $2, $3) on conflict (k, part) do update set x = excluded.x",
            f"k{dice.randrange(6)}", number, dice.randbytes(4),
        )  # fmt: skip
    elif kind == 8:
        await conn.execute("delete from w where part = $1 and k = $2", number, f"k{dice.randrange(6)}")
    elif kind == 9:
        await conn.execute("insert into bare (a, b) values ($1, null), ($1, 'twin')", str(number))
    elif kind == 10:
        await conn.execute("update bare set b = $2 where a = $1", str(number), str(dice.random()))
    else:
        await conn.execute("delete from bare where a = $1 and b is null", str(number))


async def _swap(conn: asyncpg.Connection, number: int) -> None:
    """Two rows exchange a unique value."""
    rows = await conn.fetch("select id, u from t where id / 1000 = $1 and u is not null limit 2 for update", number)
    if len(rows) == 2:
        (a, u), (b, v) = rows
        await conn.execute("update t set u = null where id = $1", a)
        await conn.execute("update t set u = $2 where id = $1", b, u)
        await conn.execute("update t set u = $2 where id = $1", a, v)


async def _writer(target: Target, number: int, stop: asyncio.Event, commits: list[int]) -> None:
    dice = random.Random(number)
    conn = await target.connect()
    await conn.execute("set search_path = public")
    while not stop.is_set():
        try:
            async with conn.transaction():
                await _write(conn, dice, number)
                if dice.random() < 0.3:
                    await _undone(conn, dice, number)
                if dice.random() < 0.2:
                    raise _TakenBackError
        except (_TakenBackError, asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            continue
        commits.append(number)
        await asyncio.sleep(0.001)
    await conn.close()


class _TakenBackError(Exception):
    pass


async def _undone(conn: asyncpg.Connection, dice: random.Random, number: int) -> None:
    """A subtransaction, taken back half of the time."""
    try:
        async with conn.transaction():
            await _write(conn, dice, number)
            if dice.random() < 0.5:
                raise _TakenBackError
    except (_TakenBackError, asyncpg.UniqueViolationError):
        return


class _Engines:
    """Starts engines that are killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, order: str) -> str:
        """How the engine ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(order.encode() + b"\n")
        return (await self._process.stdout.readline()).decode().strip()


@asynccontextmanager
async def _engines(pair: Pair, folder: Path, *, unsafe: bool) -> AsyncIterator[_Engines]:
    given = {
        "run": RUN, "source": str(pair.job.source), "dsn": pair.job.target.uri(), "unsafe": unsafe, "tables": [to_plain(t) for t in pair.job.tables],
    }  # fmt: skip
    job = folder / "job.json"
    job.write_text(json.dumps(given))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.reverse_engine", str(job), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        yield _Engines(process)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def _loaded(
    tmp_path: Path, target: Target
) -> AsyncIterator[tuple[Pair, list[int], Callable[[], Awaitable[None]]]]:
    path = new_file(tmp_path, SCRIPT, {"t": [(i, f"0-{i}", "x", "x") for i in range(20)], "bare": [("0", None)] * 5})
    tables = [
        live_table(path, "t", {"id": INTEGER, "u": TEXT, "n": TEXT, "x": TEXT}),
        live_table(path, "w", {"k": TEXT, "part": INTEGER, "x": BLOB}),
        live_table(path, "bare", {"a": TEXT, "b": TEXT}),
    ]
    async with cut_over(path, target, *tables, extra={"t": ", unique (u)"}) as pair:
        await pair.reverse.close()
        stop, commits = asyncio.Event(), list[int]()
        writers = [asyncio.create_task(_writer(target, n, stop, commits)) for n in range(1, WRITERS + 1)]

        async def finish() -> None:
            stop.set()
            await asyncio.gather(*writers)

        try:
            yield pair, commits, finish
        finally:
            await finish()


async def _kills(engines: _Engines, rounds: int) -> int:
    killed = 0
    dice = random.Random(3)
    for _ in range(rounds):
        for point in POINTS:
            killed += await engines.run(f"{point}:{dice.randrange(1, 4)}") == "killed"
        killed += await engines.run(f"after:{dice.randrange(60, 200)}") == "killed"
    return killed


async def test_killed_at_every_point_under_load(tmp_path: Path, pg_target: Target) -> None:
    async with (
        _loaded(tmp_path, pg_target) as (pair, commits, finish),
        _engines(pair, tmp_path, unsafe=False) as engines,
    ):
        idle, late = await pg_target.connect(), await pg_target.connect()
        await idle.execute("begin; select pg_current_xact_id()")
        await late.execute("begin; insert into public.t values (99999, 'late', '', '')")
        killed = await _kills(engines, 4)
        await late.execute("commit")
        await finish()
        assert await engines.run("end") == "exit 0"
        await idle.close()
        await late.close()
    assert killed == 4 * (len(POINTS) + 1)
    assert len(commits) > 100
    assert set(commits) == set(range(1, WRITERS + 1))
    assert await pair.differences() == []
    assert pair.lite("select id from t where u = 'late'") == [(99999,)]
    assert await pair.pg("select count(*) from _stepflow.blocker") == [(0,)]
    assert pair.lite("select count(*) from audit") == [(20,)]  # as before the cutover
    assert pair.lite("select (select count(*) from _sf_log where n > 0), (select writer from _sf_ctl)") == [(0, "")]
    assert pair.lite("pragma integrity_check") == [("ok",)]


async def test_control_a_position_of_its_own_transaction_loses_rows(tmp_path: Path, pg_target: Target) -> None:
    async with _loaded(tmp_path, pg_target) as (pair, _, finish), _engines(pair, tmp_path, unsafe=True) as engines:
        await _kills(engines, 2)
        await finish()
        assert await engines.run("end") == "exit 0"
    assert await pair.differences() != []


@pytest.mark.parametrize("point", POINTS)
async def test_a_blocker_outlives_every_kill(tmp_path: Path, pg_target: Target, point: str) -> None:
    """A row that SQLite lacks is on the list whatever dies in between, and leaves it with the row it gets."""
    path = new_file(tmp_path, "create table t(id integer primary key, u text unique collate nocase)", {"t": [(1, "a")]})
    async with cut_over(path, pg_target, live_table(path, "t", {"id": INTEGER, "u": TEXT})) as pair:
        await pair.reverse.close()
        async with _engines(pair, tmp_path, unsafe=False) as engines:
            await pair.pg("insert into t values (2, 'A')")
            assert await engines.run(f"{point}:1") == "killed"
            assert await engines.run("end") == "exit 0"
            assert await pair.pg("select k from _stepflow.blocker") == [(["2"],)]
            await pair.pg("update t set u = 'b' where id = 1")
            assert await engines.run(f"{point}:1") == "killed"
            assert await engines.run("end") == "exit 0"
            assert await pair.pg("select count(*) from _stepflow.blocker") == [(0,)]
        assert await pair.differences() == []

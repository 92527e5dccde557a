"""The monitor beside real applications: what it sees, what it leaves alone, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application.processes import users_of
from stepflow_tui.engine.config import LoadedConfig
from stepflow_tui.engine.facade.monitor import monitor
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.sqlite import count_child
from stepflow_tui.engine.sqlite.connect import open_living
from tests.monitor_kit import ROOT, holding, make_shop, shop_config, side_files, stepflow, web

LIMITS = {"limits": {"latency": "1s", "memory": "4GiB", "wal": "100MiB"}}
ROOM = {"disk": {"minimum": "1", "recommended": "2"}}

pytestmark = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="this system does not list locks")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    make_shop(path)
    return path


async def one(loaded: LoadedConfig, state: Path) -> tuple[Mapping[str, Any], list[str]]:
    """One look and the codes of its alerts."""
    look, *alerts = [event async for event in monitor(loaded, state, once=True)]
    return look, [event["code"] for event in alerts]


async def test_a_look_sees_everything_at_once(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("fine\nERROR no room\n")
    with (
        web() as address,
        holding(shop, "insert into orders(note) values ('x')", "begin", "select * from orders") as pid,
        closing(sqlite3.connect(shop, isolation_level=None)) as writer,
    ):
        writer.execute("insert into orders(note) values ('y')")
        loaded = shop_config(
            tmp_path, monitor=LIMITS | {"logs": [{"file": "./app.log"}]}, requirements=ROOM,
            application={"health": [{"http": address}]},
        )  # fmt: skip
        look, alerts = await one(loaded, tmp_path / "state")
    database = look["database"]
    assert (database["mode"], database["frames"] > database["checkpointed"]) == ("wal", True)
    assert database["wal_bytes"] > 0
    assert [pin["pid"] for pin in database["pinned_by"]] == [pid]
    assert look["tables"] == {"rows": {"codes": 2, "orders": 102}, "fresh": True, "at": look["tables"]["at"], "why": ""}
    [answer] = look["health"]
    assert (answer["ok"], answer["kind"], answer["status"]) == (True, "http", 200)
    assert look["logs"][0]["hits"] == [{"pattern": "ERROR", "count": 1, "newest": "ERROR no room"}]
    assert [p["pid"] for p in look["processes"]["found"] if p["pid"] == pid] == [pid]
    assert all(p["memory"] > 1_000_000 for p in look["processes"]["found"])
    assert look["disk"]["free"] > 0
    assert look["target"] is None
    assert alerts == ["log_pattern"]
    assert look["exit_code"] == 4


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_nobody_uses_it_and_nothing_is_left_behind(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    make_shop(path, mode, rows=50_000)
    before = path.read_bytes(), side_files(path)
    look, alerts = await one(shop_config(tmp_path, monitor=LIMITS, requirements=ROOM), tmp_path / "state")
    assert look["tables"]["rows"] == {"codes": 2, "orders": 50_000}
    assert (path.read_bytes(), side_files(path)) == before
    assert alerts == []
    if mode == "wal":  # the negative control: an ordinary reader leaves files of its own behind
        with closing(open_living(path)) as reader:
            reader.execute("select count(*) from orders").fetchall()
        assert side_files(path) != before[1]


async def test_a_rollback_journal_in_use_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    make_shop(path, "delete")
    with holding(path, "select count(*) from orders"):
        look, _ = await one(shop_config(tmp_path, monitor=LIMITS, requirements=ROOM), tmp_path / "state")
    assert look["tables"]["rows"] == {}
    assert (look["tables"]["fresh"], "keep writers waiting" in look["tables"]["why"]) == (False, True)


async def test_every_limit_raises_its_alert(shop: Path, tmp_path: Path) -> None:
    tight = {"limits": {"latency": "1ms", "memory": "1MiB", "wal": "1KiB"}}
    with web(delay=0.05) as slow, web(500) as broken:
        application = {"health": [{"http": slow}, {"http": broken}]}
        loaded = shop_config(
            tmp_path, monitor=tight, application=application,
            requirements={"disk": {"minimum": "900TiB", "recommended": "901TiB"}},
        )  # fmt: skip
        with holding(shop, "insert into orders(note) values ('x')") as pid:
            look, alerts = await one(loaded, tmp_path / "state")
    assert sorted(alerts) == ["disk_low", "high_memory", "slow_response", "unhealthy", "wal_large"]
    assert look["processes"]["found"][0]["pid"] == pid
    assert look["exit_code"] == 4


async def test_a_database_that_is_gone_is_unreachable(tmp_path: Path) -> None:
    look, alerts = await one(shop_config(tmp_path, requirements=ROOM), tmp_path / "state")
    assert look["database"]["mode"] == "missing"
    assert alerts == ["unreachable"]


async def test_the_mode_is_watched_and_the_holder_gets_its_age(shop: Path, tmp_path: Path) -> None:
    """Back to a rollback journal between two looks, and a reader that is starving the log."""
    loaded = shop_config(tmp_path, monitor=LIMITS, requirements=ROOM, wal={"starvation": "100ms"})
    seen: list[Mapping[str, Any]] = []
    async with aclosing(monitor(loaded, tmp_path / "state", every="200ms", lasting="60s")) as events:
        with (
            holding(shop, "begin", "select * from orders") as pid,
            closing(sqlite3.connect(shop, isolation_level=None)) as writer,
        ):
            writer.execute("insert into orders(note) values ('x')")
            async for event in events:
                if event["event"] == "alert" and event["code"] == "wal_starved":
                    seen.append(event)
                    break
        with closing(sqlite3.connect(shop, isolation_level=None)) as other:
            assert other.execute("pragma journal_mode=delete").fetchone() == ("delete",)
        async for event in events:
            if event["event"] == "alert":
                seen.append(event)
                break
    assert (seen[0]["params"]["pid"], seen[0]["params"]["age_seconds"] > 0.1) == (pid, True)
    assert seen[1]["code"] == "mode_changed"


async def test_the_postgres_side_is_looked_at(shop: Path, tmp_path: Path, pg_target: Target) -> None:
    connection = await pg_target.connect()
    try:
        await connection.execute(
            "create table public.orders(id int); insert into public.orders select generate_series(1, 5000)"
        )
    finally:
        await connection.close()
    loaded = shop_config(
        tmp_path, kind="sqlite-to-postgres", target={"dsn": pg_target.uri()}, monitor=LIMITS, requirements=ROOM
    )
    look, alerts = await one(loaded, tmp_path / "state")
    assert (look["target"]["ok"], alerts) == (True, [])
    assert look["target"]["tables"]["orders"]["bytes"] > 5000 * 4
    assert look["target"]["seconds"] < 10
    away = shop_config(
        tmp_path, kind="sqlite-to-postgres", requirements=ROOM,
        target={"dsn": "postgresql://u:canary-of-pg@127.0.0.1:1/x?connect_timeout=2"},
    )  # fmt: skip
    look, alerts = await one(away, tmp_path / "state")
    assert (look["target"]["code"], alerts) == ("target_down", ["unreachable"])
    assert "canary-of-pg" not in json.dumps(look, default=str)


def test_rows_are_counted_in_short_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slice by slice, the names of row numbers taken or not; what the time does not suffice for is said to be unknown."""
    path = tmp_path / "odd.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(
            'create table "a""b"(x); create table taken(rowid text, x); create table all_taken(rowid, _rowid_, oid);'
            "create table gone(id integer primary key); create virtual table words using fts5(t)"
        )
        conn.executemany('insert into "a""b" values (?)', [(n,) for n in range(25)])
        conn.executemany("insert into taken values (?, 1)", [(None,)] * 25)
        conn.executemany("insert into all_taken values (1, 1, 1)", [()] * 25)
        conn.executemany("insert into gone values (?)", [(n,) for n in (-(2**63), -5, 0, 7, 2**63 - 1)])
        conn.commit()
    monkeypatch.setattr(count_child, "SLICE_ROWS", 10)
    request = {"path": os.fsencode(path).hex(), "seconds": 30, "immutable": False}
    tables = count_child.handle(request, lambda _event: None)["tables"]
    assert {k: v for k, v in tables.items() if not k.startswith("words")} == {
        'a"b': 25, "taken": 25, "all_taken": 25, "gone": 5
    }  # fmt: skip
    with closing(sqlite3.connect(path)) as conn:
        conn.executemany("insert into all_taken values (1, 1, 1)", [()] * 20_000)
        conn.commit()
    late = count_child.handle({**request, "seconds": 0}, lambda _event: None)["tables"]
    assert late["all_taken"] is None


def test_this_process_is_no_user(shop: Path) -> None:
    with closing(sqlite3.connect(shop)) as own:
        own.execute("select * from orders").fetchall()
        with holding(shop, "select 1 from orders") as pid:
            [user] = users_of(shop).processes
    assert (user.pid, user.uid) == (pid, os.getuid())


WRITER = """
import select, sqlite3, sys
conn = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
done = failed = 0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        conn.execute("insert into orders(note) values ('x')")
        done += 1
    except sqlite3.Error:
        failed += 1
print(done, failed, flush=True)
"""


@contextmanager
def writing(path: Path) -> Iterator[list[int]]:
    """A process that writes all the time and waits for nobody; at the end how many writes succeeded and failed."""
    counts: list[int] = []
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    yield counts
    out, _ = writer.communicate("\n", timeout=30)
    counts += map(int, out.split())


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_no_write_fails_because_of_it(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    make_shop(path, mode)
    loaded = shop_config(tmp_path, monitor=LIMITS, requirements=ROOM)
    with writing(path) as counts:
        looks = [e async for e in monitor(loaded, tmp_path / "state", every="100ms", lasting="400ms")]
    assert len(looks) >= 2
    assert (counts[0] > 0, counts[1]) == (True, 0)
    if mode == "delete":  # the negative control: an ordinary reader
        with holding(path, "begin", "select count(*) from orders"), writing(path) as counts:
            await one(loaded, tmp_path / "state")
        assert counts[1] > 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_cleanly(number: signal.Signals, code: int, shop: Path, tmp_path: Path) -> None:
    loaded = shop_config(tmp_path, monitor=LIMITS, requirements=ROOM)
    command = [sys.executable, "-m", "stepflow_tui", "monitor", str(loaded.path), "--json", "--every", "100ms"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}
    running = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert json.loads(running.stdout.readline())["event"] == "look"
    running.send_signal(number)
    _out, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (code, "")


def test_the_command_once_and_for_a_while(shop: Path, tmp_path: Path) -> None:
    loaded = shop_config(tmp_path, monitor=LIMITS, requirements=ROOM)
    done = stepflow("monitor", str(loaded.path), "--for", "300ms", "--every", "100ms", state=tmp_path / "state")
    assert (done.returncode, done.stderr) == (0, "")
    assert 2 <= len(done.stdout.splitlines()) <= 4
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    shop.unlink()
    done = stepflow("monitor", str(loaded.path), "--once", state=tmp_path / "state")
    assert done.returncode == 4
    assert "ALERT unreachable" in done.stdout
    done = stepflow("monitor", str(loaded.path), "--every", "soon", state=tmp_path / "state")
    assert (done.returncode, "Traceback" in done.stderr, "--every 'soon'" in done.stderr) == (2, False, True)

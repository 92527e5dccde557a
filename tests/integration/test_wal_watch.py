"""The watch over a database that is used where it stands, beside real processes: who pins, who writes, and nobody disturbed."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from stepflow_tui.engine.alerts import watch
from stepflow_tui.engine.alerts.watch import Watched
from stepflow_tui.engine.sqlite.holders import SAMPLER, scan
from stepflow_tui.engine.sqlite.wal_child import Watching, glimpse, look
from stepflow_tui.engine.sqlite.wal_sampler import WalSampler
from stepflow_tui.engine.steps.services import Services
from stepflow_tui.engine.steps.wal.watching import leave_wal, watch_wal
from tests.integration.test_wal_sampler import QUICK, READER, ROOT, app, locks_of, process
from tests.process_kit import children
from tests.run_kit import Bench, bench, book

pytestmark = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="this system does not list locks")

WRITER = READER.replace("begin", "begin immediate")
FAILED = "the watch must not end the run"


@pytest.fixture
def shop(tmp_path: Path) -> sqlite3.Connection:
    """An application's connection that never waits for a lock."""
    conn = app(tmp_path / "shop.db")
    conn.execute("pragma journal_mode=wal")
    conn.execute("pragma wal_autocheckpoint=0")
    conn.execute("create table t (x)")
    conn.execute("insert into t values (0)")
    return conn


@pytest.fixture
async def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """An engine of a run in place that looks often."""
    from stepflow_tui.engine.steps.wal import watching

    monkeypatch.setattr(watching, "WalSampler", lambda: WalSampler(every=QUICK))
    limits = "{max_bytes: 1GiB, starvation: 100ms}"
    async with bench(tmp_path, book(), kind="sqlite-wal", wal=limits) as made:
        made.ctx.services = Services(lambda error: pytest.fail(f"{FAILED}: {error!r}"))
        yield made
        await made.ctx.services.stop()


async def gauge(engine: Bench, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The gauge once it is as wanted."""
    async with asyncio.timeout(30):
        while not wanted(found := engine.journal.gauges().get("wal", {})):
            await asyncio.sleep(QUICK)
    return found


async def alerts(engine: Bench) -> list[tuple[str, str]]:
    rows = await engine.journal.fetch("SELECT code,key FROM alert WHERE cleared_seq IS NULL ORDER BY id")
    return [(r["code"], r["key"]) for r in rows]


async def test_a_reader_is_named_by_the_first_look_that_sees_it(tmp_path: Path, shop: sqlite3.Connection) -> None:
    """Looks are a second apart, and the first comes at once: a reader is named within two seconds."""
    with process(READER, tmp_path / "shop.db") as reader:
        shop.execute("insert into t values (1)")
        sampler = WalSampler()
        await sampler.start(tmp_path / "shop.db")
        first = await sampler.sample()
        await sampler.close()
        assert first.pinned_by is not None
        assert [p.pid for p in first.pinned_by] == [reader.pid]


async def test_the_watch_tells_of_a_reader_until_it_lets_go(
    tmp_path: Path, shop: sqlite3.Connection, engine: Bench
) -> None:
    watched = Watched()
    await watch_wal(engine.ctx)
    await watch_wal(engine.ctx)  # it runs already
    with process(READER, tmp_path / "shop.db") as reader:
        for n in range(150):
            shop.execute("insert into t values (?)", (n,))
        found = await gauge(engine, lambda g: bool(g.get("pinned_by")) and g["pinned_by"][0]["age_seconds"] >= 0.1)
        assert len(children("wal_child")) == 1
        assert (found["pinned_by"][0]["pid"], found["expected"]) == (reader.pid, True)
        assert found["limits"] == {"bytes": 1 << 30, "starvation": 0.1}
        await watch.look(engine.journal, watched)
        assert await alerts(engine) == [("wal_starved", str(reader.pid))]
        _, log, done = shop.execute("pragma wal_checkpoint(passive)").fetchone()
        assert done < log
        partial = await gauge(engine, lambda g: bool(g["checkpoint"]))
        assert {k: partial["checkpoint"][k] for k in ("complete", "frames", "checkpointed")} == {
            "complete": False, "frames": log, "checkpointed": done,
        }  # fmt: skip
    await gauge(engine, lambda g: g["pinned_by"] == [])
    await watch.look(engine.journal, watched)
    assert await alerts(engine) == []
    shop.execute("pragma wal_checkpoint(passive)")
    complete = await gauge(engine, lambda g: g["checkpoint"]["complete"])
    assert complete["checkpoint"]["checkpointed"] == log
    await engine.ctx.services.stop()
    assert children("wal_child") == []


async def test_who_holds_the_write_lock_is_named(tmp_path: Path, shop: sqlite3.Connection, engine: Bench) -> None:
    await watch_wal(engine.ctx)
    with process(WRITER, tmp_path / "shop.db") as writer:
        found = await gauge(engine, lambda g: g.get("busy_in_a_row", 0) > 2)
        assert found["writer"]["pid"] == writer.pid
        assert "python" in found["writer"]["command"]
        assert found["write_busy"] > 0
    await gauge(engine, lambda g: g["busy_in_a_row"] == 0)


async def test_writes_are_counted_over_many_logs(tmp_path: Path, shop: sqlite3.Connection, engine: Bench) -> None:
    await watch_wal(engine.ctx)
    await gauge(engine, lambda g: g.get("rate") is not None)
    for n in range(300):
        shop.execute("insert into t values (?)", (n,))
        if n % 50 == 0:
            shop.execute("pragma wal_checkpoint(restart)")
    found = await gauge(engine, lambda g: g["transactions"] > 0 and g["rate"] > 0)
    assert found["rate"] >= 0.9 * found["transactions"]  # every transaction writes at least one frame


async def test_a_mode_that_was_left_is_told_and_one_left_on_purpose_is_not(
    tmp_path: Path, shop: sqlite3.Connection, engine: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stepflow_tui.engine.alerts import wal

    monkeypatch.setattr(wal, "HELD_SECONDS", 0.0)
    watched = Watched()
    await watch_wal(engine.ctx)
    await gauge(engine, lambda g: bool(g.get("expected")))
    assert shop.execute("pragma journal_mode=delete").fetchone() == ("delete",)
    await gauge(engine, lambda g: g["mode"] == "rollback")
    await watch.look(engine.journal, watched)
    assert await alerts(engine) == [("wal_lost", "")]
    await leave_wal(engine.ctx)
    await watch.look(engine.journal, watched)
    assert (await alerts(engine), children("wal_child")) == ([], [])


async def test_before_the_conversion_it_says_who_uses_the_file(
    tmp_path: Path, shop: sqlite3.Connection, engine: Bench
) -> None:
    shop.execute("pragma journal_mode=delete")
    shop.close()
    await watch_wal(engine.ctx)
    with process(READER, tmp_path / "shop.db") as reader, process(WRITER, tmp_path / "shop.db") as writer:
        found = await gauge(engine, lambda g: len(g.get("users") or ()) == 2)
        assert {u["pid"]: u["what"] for u in found["users"]} == {reader.pid: "reading", writer.pid: "waiting to write"}
        writing = await gauge(engine, lambda g: g["writer"] is not None)
        assert (writing["mode"], writing["writer"]["pid"], writing["rate"]) == ("rollback", writer.pid, None)
        assert "expected" not in writing


HEARD = """
import json, sys
heard = []
sys.addaudithook(lambda name, args: heard.append((name, *args[1:3])) if name in ("fcntl.fcntl", "fcntl.lockf",
    "fcntl.flock", "open", "sqlite3.connect", "os.truncate", "os.remove") else None)
from pathlib import Path
from stepflow_tui.engine.sqlite.wal_child import Watching, glimpse, _settled
watching = Watching(Path(sys.argv[1]))
heard.clear()
found = [_settled(watching), glimpse(watching)]
import fcntl
kinds = sorted({name for name, *_ in heard})
print(json.dumps({"kinds": kinds, "commands": sorted({a[1] for a in heard if a[0] == "fcntl.fcntl"}), "asks": fcntl.F_GETLK,
    "writing": [a for a in heard if a[0] == "open" and (a[2] or 0) & 3], "readers": len(found[0]["readers"])}))
"""


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_it_only_asks_about_locks_and_opens_for_reading(tmp_path: Path, shop: sqlite3.Connection, mode: str) -> None:
    shop.execute(f"pragma journal_mode={mode}")
    with process(READER, tmp_path / "shop.db"):
        if mode == "wal":
            shop.execute("insert into t values (1)")
        told = run([sys.executable, "-c", HEARD, str(tmp_path / "shop.db")])
    heard = json.loads(told)
    assert heard["kinds"] == ["fcntl.fcntl", "open"]
    assert heard["commands"] == [heard["asks"]]
    assert heard["writing"] == []
    assert heard["readers"] == (1 if mode == "wal" else 0)


def run(command: list[str]) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=60).stdout


async def test_the_system_lists_no_lock_of_it_and_no_writer_waits(
    tmp_path: Path, shop: sqlite3.Connection, engine: Bench
) -> None:
    await watch_wal(engine.ctx)
    await gauge(engine, lambda g: g.get("mode") == "wal")
    [child] = children("wal_child")
    with process(READER, tmp_path / "shop.db"):
        for n in range(500):
            shop.execute("insert into t values (?)", (n,))  # its timeout is 0: a single conflict would raise
            if n % 10 == 0:
                assert locks_of(child.pid) == []
                await asyncio.sleep(0)
        await gauge(engine, lambda g: bool(g["pinned_by"]) and g["frames"] > 500)
    assert psutil.pid_exists(child.pid)


OUTSIDE = """
import json, sys
from pathlib import Path
from stepflow_tui.engine.sqlite.wal_child import Watching, glimpse, look
path = Path(sys.argv[1])
print(json.dumps([look(path), glimpse(Watching(path))]))
"""
UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]


def can_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_unshare(), reason="no pid namespaces here")
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_process_outside_the_container_is_told_as_such(tmp_path: Path, shop: sqlite3.Connection, mode: str) -> None:
    shop.execute(f"pragma journal_mode={mode}")
    with process(READER, tmp_path / "shop.db"), process(WRITER, tmp_path / "shop.db"):
        told, seen = json.loads(run([*UNSHARE, sys.executable, "-c", OUTSIDE, str(tmp_path / "shop.db")]))
    assert seen["writer"] == {"pid": 0, "command": None}
    if mode == "delete":
        assert [(u["pid"], u["command"]) for u in told["users"]] == [(0, None)]


@pytest.mark.skipif(not can_unshare(), reason="no pid namespaces here")
def test_a_reader_outside_the_container_pins_too(tmp_path: Path, shop: sqlite3.Connection) -> None:
    with process(READER, tmp_path / "shop.db"):
        shop.execute("insert into t values (1)")
        told, _ = json.loads(run([*UNSHARE, sys.executable, "-c", OUTSIDE, str(tmp_path / "shop.db")]))
    assert [(r["pid"], r["command"]) for r in told["readers"]] == [(0, None)]


def test_the_largest_pages_and_an_index_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "wide.db"
    conn = app(path)
    conn.execute("pragma page_size=65536")
    conn.execute("pragma journal_mode=wal")
    conn.execute("create table t (x)")
    found = look(path)
    assert (found["page_size"], found["frames"]) == (65_536, 2)
    conn.close()
    conn = app(path)
    conn.execute("pragma locking_mode=exclusive")
    conn.execute("insert into t values (1)")
    found = look(path)
    assert (found["mode"], found["frames"], found["readers"]) == ("wal", None, None)
    assert glimpse(Watching(path))["frames"] is None
    conn.close()


def test_the_watch_itself_is_no_holder(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.touch()
    (tmp_path / "proc" / "self" / "fd").mkdir(parents=True)
    for pid, command in (("11", ["python", "-m", SAMPLER]), ("12", ["python", "app.py"])):
        descriptors = tmp_path / "proc" / pid / "fd"
        descriptors.mkdir(parents=True)
        (descriptors / "3").symlink_to(path)
        (descriptors.parent / "cmdline").write_bytes(b"\x00".join(word.encode() for word in command))
    assert [h.pid for h in scan(path, tmp_path / "proc").processes] == [12]

"""`stepflow optimize` on real files: statistics, one checkpoint, and everybody else left in peace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.config import LoadedConfig, config_of
from stepflow_tui.engine.errors import Drift, Held, Refused, StepFailed
from stepflow_tui.engine.facade import optimize as module
from stepflow_tui.engine.facade.optimize import optimize, refuse_unwritable
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.versions import has_wal_reset_bug
from stepflow_tui.engine.sqlite import optimize_child, quiet
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.examine import examine
from stepflow_tui.engine.sqlite.fence import set_owner
from stepflow_tui.engine.sqlite.holders import Holders, find_holders
from stepflow_tui.engine.sqlite.lock import lock_source
from tests import capture_kit
from tests.integration import sources

CHILD = "stepflow_tui.engine.sqlite.optimize_child"
BUGGED = has_wal_reset_bug(sqlite3.sqlite_version_info[:3])

READER = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("begin"); conn.execute("select count(*) from orders").fetchall()
print("open", flush=True); sys.stdin.readline()
"""
LOCKER = READER.replace('"begin"', '"begin immediate"')
WRITER = """
import sqlite3, sys, threading, time
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
conn = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
print("open", flush=True)
n = failed = 0
while not stop.is_set():
    try:
        conn.execute("insert into orders(customer, total) values (?, 1)", (f"w{n}",)); n += 1
    except sqlite3.OperationalError:
        failed += 1
    time.sleep(0.001)
print(n, failed, flush=True)
"""


def database(path: Path, mode: str = "wal", rows: int = 500) -> Path:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(f"pragma journal_mode={mode}")
        conn.execute("create table orders(id integer primary key, customer text, total int)")
        conn.execute("create index by_customer on orders(customer)")
        conn.execute('create table "odd ""name"(x unique)')
        conn.executemany("insert into orders(customer, total) values(?, ?)", [(f"c{n % 50}", n) for n in range(rows)])
        conn.execute('insert into "odd ""name" values (1)')
        conn.commit()
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return database(tmp_path / "shop.db")


def loaded(path: Path, *lines: str) -> LoadedConfig:
    text = "\n".join(("version: 1", "name: shop", "kind: sqlite-wal", f"source: {{path: {path.name}}}", *lines))
    return config_of(text.encode(), path.parent / "stepflow.yaml", {})


async def done(path: Path) -> dict[str, Any]:
    return await optimize(loaded(path), path.parent / "state")


Start = Callable[[str, Path], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Other processes with the database open, ended in the end."""
    running: list[subprocess.Popen[str]] = []

    def begin(script: str, path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def release(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate("\n", timeout=30)
    return said


def statistics(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as conn:
        return {f"{t}.{i}": s for t, i, s in conn.execute("select tbl, idx, stat from sqlite_stat1")}


def rows(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("pragma integrity_check").fetchone() == ("ok",)
        return conn.execute("select id, customer, total from orders").fetchall()


async def test_alone_everything_is_analysed_and_the_wal_is_emptied(file: Path) -> None:
    before = rows(file)
    found = await done(file)
    assert (found["analyzed"], found["left_out"], found["optimized"]) == (['odd "name', "orders"], [], True)
    assert statistics(file)["orders.by_customer"] == "500 10"
    assert found["statistics"] == 2
    checkpoint = found["checkpoint"]
    assert (checkpoint["kind"], checkpoint["complete"], checkpoint["busy"]) == ("truncate", True, False)
    assert checkpoint["wal_bytes_before"] > 0 == checkpoint["wal_bytes_after"]
    assert (found["exit_code"], found["holders"]) == (0, [])
    assert rows(file) == before


async def test_a_rollback_journal_file_stays_one(tmp_path: Path) -> None:
    file = database(tmp_path / "r.db", "delete")
    found = await done(file)
    assert found["checkpoint"] is None
    assert found["analyzed"] == ['odd "name', "orders"]
    with closing(sqlite3.connect(file)) as conn:
        assert conn.execute("pragma journal_mode").fetchone() == ("delete",)


async def test_two_readers_hold_the_checkpoint_up_and_are_named(file: Path, start: Start) -> None:
    readers = [start(READER, file) for _ in range(2)]
    with closing(sqlite3.connect(file, isolation_level=None)) as app:
        app.execute("pragma wal_autocheckpoint=0")
        for n in range(100):
            app.execute("insert into orders(customer, total) values ('late', ?)", (n,))
        found = (await done(file))["checkpoint"]
        assert (found["kind"], found["done"], found["complete"]) == ("passive", True, False)
        assert found["checkpointed"] < found["frames"]
        assert found["frames"] >= 100
        assert found["wal_bytes_after"] >= found["wal_bytes_before"], "a passive checkpoint cuts nothing off"
        assert {p["pid"] for p in found["pinned_by"]} == {r.pid for r in readers}
        for reader in readers:
            release(reader)
        again = (await done(file))["checkpoint"]
        assert (again["kind"], again["complete"], again["pinned_by"]) == ("passive", True, [])
        assert again["checkpointed"] == again["frames"]
        assert app.execute("select count(*) from orders where customer='late'").fetchone() == (100,)


async def test_nobody_loses_a_write_to_it(file: Path, start: Start) -> None:
    writers = [start(WRITER, file) for _ in range(2)]
    for _ in range(2):
        found = await done(file)
        assert (found["exit_code"], found["left_out"]) == (0, [])
        assert found["checkpoint"]["kind"] == "passive"
        assert {h["pid"] for h in found["holders"]} == {w.pid for w in writers}
    told = [tuple(map(int, release(w).split())) for w in writers]
    assert [failed for _, failed in told] == [0, 0]
    assert all(written for written, _ in told)
    assert len(rows(file)) == 500 + sum(written for written, _ in told)


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_a_lock_that_stays_ends_it_with_the_holder_named(
    mode: str, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.2)
    file = database(tmp_path / "busy.db", mode)
    holder = start(LOCKER, file)
    if mode == "delete" or BUGGED:
        with pytest.raises(Held) as error:
            await done(file)
        assert error.value.code == "source_busy"
        assert f"pid {holder.pid} (" in error.value.detail
    else:  # a library without the bug checkpoints beside a writer
        found = await done(file)
        assert (found["exit_code"], found["checkpoint"]["done"]) == (7, True)
    release(holder)
    with closing(sqlite3.connect(file)) as conn:
        assert conn.execute("select count(*) from sqlite_schema where name='sqlite_stat1'").fetchone() == (0,)
    assert (await done(file))["exit_code"] == 0


@pytest.mark.skipif(not BUGGED, reason="this library has no WAL-reset bug")
async def test_beside_others_nobody_commits_during_the_checkpoint(file: Path, start: Start) -> None:
    """With the WAL-reset bug a commit must not begin `-wal` anew meanwhile: the child holds the write lock then."""
    start(READER, file)
    with closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as app:
        app.execute("begin immediate")
        request = {"path": path_text(file), "limit": 0, "wait": 0.1, "hold": 5.0}
        found = await run_child(CHILD, request)
        assert (found["checkpoint"]["done"], found["checkpoint"]["frames"]) == (False, None)
        app.execute("rollback")
    assert (await run_child(CHILD, request))["checkpoint"]["done"] is True


def test_without_that_lock_a_commit_could_come_between(
    file: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way round: a library without the bug checkpoints beside an open write transaction."""
    monkeypatch.setattr(quiet, "has_wal_reset_bug", lambda _version: False)
    writer = start(LOCKER, file)
    request = {"path": path_text(file), "limit": 0, "wait": 0.1, "hold": 5.0}
    found = optimize_child.handle(request, lambda _event: None)
    assert ({row["reason"] for row in found["left_out"]}, found["checkpoint"]["done"]) == ({"locked"}, True)
    release(writer)


async def test_a_table_that_would_take_too_long_is_left_out(tmp_path: Path) -> None:
    file = database(tmp_path / "big.db", rows=40_000)
    request = {"path": path_text(file), "limit": 0, "wait": 1.0, "hold": 0.0}
    found = await run_child(CHILD, request)
    assert found["left_out"] == [{"table": "orders", "reason": "slow"}]
    assert found["analyzed"] == ['odd "name']
    assert [key for key in statistics(file) if key.startswith("orders")] == []
    assert (await run_child(CHILD, {**request, "limit": 100}))["left_out"] == []
    assert int(statistics(file)["orders.by_customer"].split()[0]) > 30_000, "estimated from a part"


async def test_what_only_the_application_can_read_is_left_out_and_said(file: Path) -> None:
    with closing(sqlite3.connect(file)) as conn:
        conn.create_collation("ours", lambda a, b: (a > b) - (a < b))
        conn.create_function("shout", 1, str.upper, deterministic=True)
        conn.execute("create table names(n text collate ours)")
        conn.execute("create index by_name on names(n)")
        conn.execute("insert into names values ('a')")
        conn.execute("create index loud on orders(shout(customer))")
        conn.execute("create virtual table words using fts5(w)")
        conn.execute("create virtual table places using rtree(id, a, b)")
        conn.commit()
    found = await done(file)
    reasons = {row["table"]: row["reason"] for row in found["left_out"]}
    assert "ours" in reasons["names"]
    assert reasons.keys() <= {"names", "orders"}
    assert {'odd "name', "words_data", "places_node"} <= set(found["analyzed"])
    assert found["checkpoint"]["complete"]


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
async def test_names_of_any_sort(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "odd ?#%.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as conn:
        conn.execute(f"pragma encoding='{encoding}'")
        for name in ("täble", "main", "sqlitex", "a.b", "[x]", "broken"):
            conn.execute(f'create table "{name}"(x unique)')
            conn.execute(f'insert into "{name}" values (1)')
        if encoding == "UTF-8":
            conn.execute("pragma writable_schema=1")
            for column in ("name", "tbl_name", "sql"):
                conn.execute(
                    f"update sqlite_schema set {column}=cast(replace(cast({column} as blob), 'broken', x'62ff') as text) "
                    "where tbl_name='broken' or tbl_name=cast(x'62ff' as text)"
                )
    source = f"version: 1\nname: shop\nkind: sqlite-wal\nsource: {{path: {json.dumps(str(file))}}}\n"
    found = await optimize(config_of(source.encode(), tmp_path / "s.yaml", {}), tmp_path / "state")
    assert {"täble", "main", "sqlitex", "a.b", "[x]"} <= set(found["analyzed"])
    if encoding == "UTF-8":
        assert [row["reason"] for row in found["left_out"]] == ["its name is not UTF-8"]
    assert found["statistics"] >= 5


async def test_a_live_migration_keeps_its_schema(tmp_path: Path) -> None:
    path = capture_kit.make(tmp_path / "live.db")
    _, known = await capture_kit.installed(path)
    with pytest.raises(Refused) as error:
        await done(path)
    assert error.value.code == "source_captured"
    await set_owner(path, Owner.POSTGRESQL)
    with pytest.raises(Refused) as error:
        await done(path)
    assert error.value.code == "postgres_owns_writes"
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("select count(*) from sqlite_schema where name='sqlite_stat1'").fetchone() == (0,)
        capture_kit.look(path, known)
        conn.execute("analyze")
    with pytest.raises(Drift):
        capture_kit.look(path, known)  # what it would have done to the migration


async def test_a_run_at_work_keeps_it_out(file: Path) -> None:
    status = file.stat()
    state = file.parent / "state"
    lock = lock_source(state, status.st_dev, status.st_ino, "shop-1")
    try:
        with pytest.raises(Held) as error:
            await done(file)
        assert (error.value.code, error.value.detail) == ("source_held", "run shop-1")
    finally:
        lock.release()
    assert (await done(file))["exit_code"] == 0


async def test_what_can_not_be_optimized_is_refused_and_left_as_it_is(tmp_path: Path, start: Start) -> None:
    (tmp_path / "text.db").write_text("this is no database at all, only words\n" * 50)
    (tmp_path / "empty.db").touch()
    (tmp_path / "folder.db").mkdir()
    hot = sources.hot_journal(tmp_path / "hot.db")
    exclusive = database(tmp_path / "locked.db", "delete")
    start(READER.replace('"begin"', '"begin exclusive"'), exclusive)
    before = sources.content(hot)
    for name, code in {
        "missing": "source_missing",
        "text": "source_not_sqlite",
        "empty": "source_empty",
        "folder": "source_directory",
        "hot": "source_hot_journal",
        "locked": "source_locked",
    }.items():
        with pytest.raises(Refused) as error:
            await done(tmp_path / f"{name}.db")
        assert (error.value.code, bool(error.value.hint)) == (code, True)
    assert sources.content(hot) == before


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="stepflow-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("closed", ["folder", "file"])
async def test_what_this_user_may_not_write_is_refused(closed: str, open_folder: Path) -> None:
    file = database(open_folder / "w.db", "delete")
    examined = await examine(file)
    refuse_unwritable(examined, Holders(known=True, complete=True))
    user = os.geteuid()
    open_folder.chmod(0o777 if closed == "file" else 0o555)
    file.chmod(0o444 if closed == "file" else 0o666)
    try:
        if user == 0:
            os.seteuid(65534)
        with pytest.raises(Refused) as error:
            refuse_unwritable(examined, Holders(known=True, complete=True))
    finally:
        os.seteuid(user)
    assert error.value.code == "source_read_only"
    assert str(file if closed == "file" else open_folder) in error.value.message


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("place", ["optimize_table:1", "optimize_commit:1", "optimize_commit:2"])
async def test_killed_on_its_way_it_leaves_the_database_whole(
    mode: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = database(tmp_path / "k.db", mode)
    before = rows(file)
    monkeypatch.setenv("STEPFLOW_FAILPOINT", f"{place}:kill")
    with pytest.raises(StepFailed) as error:
        await done(file)
    assert error.value.code == "child_failed"
    monkeypatch.delenv("STEPFLOW_FAILPOINT")
    assert rows(file) == before
    assert (await done(file))["analyzed"] == ['odd "name', "orders"]


@pytest.fixture
def cli(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    from stepflow_tui.cli.app import run_command_line

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.chdir(file.parent)

    def call(*args: str, environment: str = "staging") -> tuple[int, str, str]:
        (file.parent / "stepflow.yaml").write_text(
            f"version: 1\nname: shop\nkind: sqlite-wal\nenvironment: {environment}\nsource: {{path: shop.db}}\n"
        )
        code = run_command_line([*args, "--state-dir", str(file.parent / "state"), "--no-input"])
        return code, *capsys.readouterr()

    return call


def test_it_asks_before_it_writes(cli: Callable[..., tuple[int, str, str]], file: Path) -> None:
    before = sources.content(file)
    assert cli("optimize")[0] == 6
    assert cli("optimize", "--yes", environment="production")[0] == 6
    assert cli("optimize", "--yes", "--confirm", "other", environment="production")[0] == 6
    assert cli("optimize", "--yes", "--read-only")[0] == 2
    assert sources.content(file) == before
    code, told, _ = cli("optimize", "--yes", "--confirm", "shop", environment="production")
    assert code == 0
    assert "analyzed 2 tables" in told
    assert "TRUNCATE checkpoint: busy 0, 0 frames in -wal, 0 of them in the file" in told


def test_its_figures_as_text_and_json(cli: Callable[..., tuple[int, str, str]], file: Path, start: Start) -> None:
    reader = start(READER, file)
    with closing(sqlite3.connect(file, isolation_level=None)) as app:
        app.execute("insert into orders(customer) values ('late')")
        code, told, _ = cli("optimize", "--yes")
        assert code == 0
        assert "PASSIVE checkpoint: busy 0" in told
        assert f"held up by pid {reader.pid}" in told
        code, told, _ = cli("optimize", "--yes", "--json")
        assert (code, json.loads(told)["checkpoint"]["pinned_by"][0]["pid"]) == (0, reader.pid)


async def test_holders_are_those_before_it_came(file: Path) -> None:
    assert (await find_holders(file)).processes == ()
    assert (await done(file))["holders"] == []

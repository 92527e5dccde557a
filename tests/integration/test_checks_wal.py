"""Checks of a conversion in place against real files, processes, namespaces, mounts and servers; no PostgreSQL anywhere."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.checks import CheckContext, check_context, run_checks, wal_copied
from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.sqlite.fence import set_owner
from stepflow_tui.engine.sqlite.libraries import libraries_of
from stepflow_tui.engine.texts import render
from tests import capture_kit
from tests.service_kit import http, serving
from tests.stand_ins import StandIns, kubectl_state

ROOT = Path(__file__).parents[2]
B, W, N = Severity.BLOCKING, Severity.WARNING, Severity.INFO
needs_root = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="namespaces need root")

HOLDER = """
import os, sqlite3, sys
conn = sqlite3.connect(sys.argv[1], uri=True, isolation_level=None)
conn.execute("select count(*) from sqlite_schema").fetchall()
for statement in sys.argv[3:]:
    conn.execute(statement).fetchall()
os.setuid(int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
"""


@contextmanager
def holding(
    path: Path, *statements: str, uid: int | None = None, mode: str = "rw", before: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the file open and has run these statements; `before` are the words of a program around it."""
    user = str(os.getuid() if uid is None else uid)
    command = [*before, sys.executable, "-c", HOLDER, f"file:{path}?mode={mode}", user, *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "shop.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(
            "create table t(id integer primary key, x); create table notes(x); insert into t(x) values (1)"
        )
    return path


@asynccontextmanager
async def looked(path: Path, **config: Any) -> AsyncIterator[CheckContext]:
    base = {
        "name": "shop",
        "kind": "sqlite-wal",
        "source": {"path": path},
        "application": {"sqlite": "3.53.0"},
        **config,
    }
    folder = path.parent.parent
    async with check_context(Config.model_validate(base), state_dir=folder / "state", folder=folder) as ctx:
        yield ctx


async def found_in(path: Path, **config: Any) -> dict[str, Finding]:
    """Everything that is found, by code, each with its words."""
    async with looked(path, **config) as ctx:
        findings = await run_checks(ctx)
    for finding in findings:
        words = render(finding)
        assert all((words.what, words.why, words.fix))
        assert "{" not in f"{words.what}{words.why}{words.fix}", finding.code
    return {f.code: f for f in findings}


def blocking(found: dict[str, Finding]) -> set[str]:
    return {code for code, f in found.items() if f.severity is B}


async def test_a_plain_file_may_be_converted_and_is_not_touched(shop: Path) -> None:
    before = (shop.read_bytes(), shop.stat().st_mtime_ns, sorted(p.name for p in shop.parent.iterdir()))
    found = await found_in(shop)
    assert blocking(found) == set()
    assert not [c for c in found if c.startswith(("target_", "live_", "source_in_use"))]
    assert (shop.read_bytes(), shop.stat().st_mtime_ns, sorted(p.name for p in shop.parent.iterdir())) == before


async def test_a_database_in_wal_mode_has_nothing_to_do(shop: Path) -> None:
    with closing(sqlite3.connect(shop)) as conn:
        conn.execute("pragma journal_mode=wal")
    found = await found_in(shop, wal={"page_size": 8192})
    assert found["wal_already"].severity is N
    assert blocking(found) == {"wal_layout_late"}
    assert "wal_layout_late" not in await found_in(shop, wal={"page_size": 4096})


async def test_a_hot_journal_is_left_to_the_application(shop: Path) -> None:
    with holding(shop, "pragma cache_size=1", "begin immediate", "insert into notes select hex(randomblob(900)) from "
                 "(with recursive n(i) as (select 1 union all select i+1 from n where i<60) select i from n)") as process:  # fmt: skip
        process.kill()
        process.wait()
    journal = shop.with_name("shop.db-journal")
    left = journal.read_bytes()
    found = await found_in(shop)
    assert blocking(found) == {"wal_hot_journal"}
    assert journal.read_bytes() == left


# names


async def test_a_hard_link_blocks(shop: Path) -> None:
    os.link(shop, shop.with_name("second.db"))
    found = await found_in(shop)
    assert blocking(found) == {"source_hard_links"}
    assert found["source_hard_links"].params["others"] == "second.db"


@needs_root
async def test_a_single_file_mount_that_only_a_holder_sees_blocks(shop: Path) -> None:
    other = shop.parent.parent / "other.db"
    other.touch()
    script = f'mount --bind {shop} {other} && exec "$@"'
    around = ("unshare", "--mount", "sh", "-c", script, "sh")
    with holding(other, before=around) as process:
        found = await found_in(shop)
    assert blocking(found) == {"wal_file_mount"}
    assert str(found["wal_file_mount"].params["places"]) == f"{other} (pid {process.pid})"
    with holding(shop, before=("unshare", "--mount")):  # its own mounts alone are no reason
        assert blocking(await found_in(shop)) == set()


@needs_root
def test_a_single_file_mount_of_our_own_blocks(shop: Path, tmp_path: Path) -> None:
    point = tmp_path / "mounted.db"
    point.touch()
    config = write_config(tmp_path, point)
    script = f'mount --bind {shop} {point} && exec "$@"'
    done = check(config, before=("unshare", "--mount", "sh", "-c", script, "sh"))
    assert done.returncode == 4
    assert {"source_file_mount"} <= {
        f["code"] for f in json.loads(done.stdout)["findings"] if f["severity"] == "blocking"
    }


# holders


async def test_holders_are_listed_with_how_they_hold_it(shop: Path) -> None:
    with holding(shop, "begin", "select * from t", mode="ro") as reader, holding(shop, "begin immediate") as writer:
        found = await found_in(shop)
    text = str(found["wal_holders"].params["holders"])
    assert found["wal_holders"].params["count"] == 2
    shown = {part.split(" ", 1)[0]: part for part in text.split("pid ")[1:]}
    assert "read-only; now reading" in shown[str(reader.pid)]
    assert "read-write; now waiting to write" in shown[str(writer.pid)]
    assert blocking(found) == set()
    assert "wal_holders" not in await found_in(shop)


async def test_an_application_in_exclusive_mode_blocks_by_name(shop: Path) -> None:
    with holding(shop, "pragma locking_mode=exclusive", "insert into notes values (1)") as process:
        found = await found_in(shop)
    assert {"wal_exclusive"} <= blocking(found)
    assert f"pid {process.pid} " in str(found["wal_exclusive"].params["holders"])
    assert "wal_exclusive" not in await found_in(shop)


BUSY = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
conn.execute("pragma synchronous=off")
print("ready", flush=True)
while True:
    conn.execute("insert into notes values (1)")
"""


async def test_writers_that_are_merely_busy_do_not_block(shop: Path) -> None:
    """They never pause, so that a reader that tries every tenth of a second is kept out for seconds."""
    writers = [subprocess.Popen([sys.executable, "-c", BUSY, str(shop)], stdout=subprocess.PIPE) for _ in range(3)]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        found = await found_in(shop)
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    assert blocking(found) == set()
    assert found["wal_holders"].params["count"] == len(writers)


async def test_databases_attached_by_a_writer_are_asked_about(shop: Path) -> None:
    other = shop.with_name("other.db")
    with closing(sqlite3.connect(other)) as conn:
        conn.execute("create table o(x)")
    (shop.parent / "plain.txt").write_text("text")
    with holding(shop, f"attach '{other}' as o", "select * from o.o"):
        found = await found_in(shop)
        assert found["wal_attach"].severity is W
        assert found["wal_attach"].params["others"] == str(other)
    with holding(shop):
        assert "wal_attach" not in await found_in(shop)


@needs_root
async def test_the_applications_user_must_be_able_to_make_side_files(shop: Path) -> None:
    shop.parent.chmod(0o755)
    shop.chmod(0o666)
    with holding(shop, uid=54_321) as process:
        found = await found_in(shop)
        assert blocking(found) == {"wal_folder_not_writable"}
        params = found["wal_folder_not_writable"].params
        assert (params["uid"], params["folder"]) == (54_321, str(shop.parent))
        assert str(params["holder"]).startswith(f"pid {process.pid} (")
        shop.parent.chmod(0o777)
        assert blocking(await found_in(shop)) == set()
        shop.chmod(0o644)
        found = await found_in(shop)
        assert blocking(found) == set()
        assert found["wal_file_not_writable"].severity is W
        assert found["wal_file_not_writable"].params["files"] == str(shop)
        shop.chmod(0o666)
        side = shop.with_name("shop.db-shm")  # left by another user
        side.touch(0o600)
        assert (await found_in(shop))["wal_file_not_writable"].params["files"] == str(side)


@needs_root
async def test_the_owner_counts_where_nobody_has_it_open(shop: Path) -> None:
    os.chown(shop, 54_321, 54_321)
    shop.parent.chmod(0o755)
    assert (await found_in(shop))["wal_folder_owner"].severity is W
    os.chown(shop.parent, 54_321, -1)
    assert "wal_folder_owner" not in await found_in(shop)


@needs_root
async def test_processes_of_two_containers_block_and_postgresql_is_named(shop: Path) -> None:
    around = ("unshare", "--pid", "--fork", "--mount-proc")
    with holding(shop, before=around):
        assert "wal_several_containers" not in await found_in(shop)
        with holding(shop):
            found = await found_in(shop)
    assert blocking(found) == {"wal_several_containers"}
    assert "PostgreSQL" in render(found["wal_several_containers"]).fix


async def test_the_library_of_a_process_is_read_from_it(shop: Path) -> None:
    with holding(shop) as process:
        library = libraries_of([process.pid, 0]).get(process.pid)
        found = await found_in(shop, application={})
    if library is None:
        pytest.skip("this Python has its SQLite where its version can't be read")
    assert library.version == sqlite3.sqlite_version
    judged = found.get("app_wal_reset") or found["app_sqlite_known"]
    assert judged.params["version"] == sqlite3.sqlite_version
    assert f"pid {process.pid}" in str(judged.params["seen"])


# layout, machine, application


async def test_a_new_page_size_names_what_vacuum_renumbers(shop: Path) -> None:
    found = await found_in(shop, wal={"page_size": 8192, "auto_vacuum": "full"})
    assert found["wal_layout"].params["wanted"] == "page_size 8192 (now 4096), auto_vacuum full (now none)"
    assert found["wal_vacuum_rowids"].params == {"count": 1, "names": "notes"}
    assert blocking(found) == set()
    same = await found_in(shop, wal={"page_size": 4096, "auto_vacuum": "none"})
    assert not [c for c in same if c.startswith(("wal_layout", "wal_vacuum"))]


async def test_timetables_are_read_in_a_process_of_its_own(shop: Path, tmp_path: Path) -> None:
    table = tmp_path / "crontab"
    table.write_text(f"0 3 * * * root cp {shop} /backup\n0 4 * * * root {shop}\n")
    async with looked(shop) as ctx:
        found = await wal_copied.run(ctx, [table, tmp_path / "missing"])
    assert [(f.code, f.params) for f in found] == [("wal_copied_by", {"file": str(table), "line": 1, "tool": "cp"})]


async def test_the_service_is_asked_by_http_and_the_network_by_connecting(shop: Path) -> None:
    async def answer(method: str, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http(500 if path == "/ill" else 200, "ok"))

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # not listening: refused
        dead = f"127.0.0.1:{closed.getsockname()[1]}"
        async with serving(answer) as port:
            health = [{"http": f"http://127.0.0.1:{port}/{p}", "retries": 1} for p in ("ill", "well")]
            network = [f"127.0.0.1:{port}", dead]
            async with looked(
                shop, application={"sqlite": "3.53.0", "health": health}, requirements={"network": network}
            ) as ctx:
                findings = await run_checks(ctx)
    [ill] = [f for f in findings if f.code == "application_unhealthy_now"]
    assert "/ill" in str(ill.object)
    assert [f.object for f in findings if f.code == "app_network"] == [dead]


async def test_pods_of_one_deployment_block(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = StandIns(tmp_path / "tools", "kubectl")
    monkeypatch.setenv("PATH", f"{tools.bin}:{os.environ['PATH']}")
    with tools.state() as state:
        state.update(kubectl_state())
    recipe = {"kind": "kubectl", "deployment": "shop"}
    found = await found_in(shop, application={"sqlite": "3.53.0", "recipe": recipe})
    assert found["wal_replicas"].params["count"] == 3
    assert "PostgreSQL" in render(found["wal_replicas"]).fix


async def test_services_of_a_compose_file_that_share_the_folder_block(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  web: {scale: 2, volumes: ['./data:/data']}\n  worker: {volumes: ['./data:/data']}\n")
    found = await found_in(shop, application={"sqlite": "3.53.0", "recipe": {"kind": "compose", "file": file}})
    assert {"wal_replicas", "wal_shared_volume"} <= blocking(found)
    assert found["wal_shared_volume"].params["services"] == "web, worker"


# the command


# a live migration's capture


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_a_live_migrations_capture_is_named_and_goes_on(mode: str, tmp_path: Path) -> None:
    path = capture_kit.make(tmp_path / "live.db", mode="delete")
    assert "wal_captured" not in await found_in(path), "the application's own tables and triggers are none"
    _, known = await capture_kit.installed(path)
    found = await found_in(path)
    assert (found["wal_captured"].severity, found["wal_captured"].params["run"]) == (W, capture_kit.RUN)
    assert "_sf_ctl" in str(found["wal_captured"].params["names"])
    assert not {c for c in blocking(found) if c.startswith("wal_captured")}
    # what the finding says of the live run: the log goes on in either mode, and VACUUM throws it back
    with capture_kit.application(path) as conn:
        conn.execute(f"pragma journal_mode={mode}").fetchall()
        before = capture_kit.look(path, known)
        conn.execute("insert into users(email) values ('new@example.com')")
        assert capture_kit.look(path, known) > before
        conn.execute("pragma journal_mode=delete").fetchall()
        conn.execute("vacuum")
    with pytest.raises(Drift):
        capture_kit.look(path, known)


async def test_a_rebuild_below_a_capture_and_a_file_that_is_history_block(tmp_path: Path) -> None:
    path = capture_kit.make(tmp_path / "live.db", mode="delete")
    await capture_kit.installed(path)
    assert "wal_captured_layout" in blocking(await found_in(path, wal={"page_size": 8192}))
    assert "wal_captured_layout" not in await found_in(path, wal={"page_size": 4096})
    await set_owner(path, Owner.POSTGRESQL)
    assert "wal_captured_moved" in blocking(await found_in(path))


async def test_what_is_left_of_a_capture_is_recognised_too(tmp_path: Path) -> None:
    path = capture_kit.make(tmp_path / "live.db", mode="delete")
    await capture_kit.installed(path)
    with capture_kit.application(path) as conn:
        conn.execute("drop table _sf_ctl")
    assert (await found_in(path))["wal_captured"].params["run"] == "?"


def write_config(folder: Path, source: Path) -> Path:
    config = folder / "stepflow.yaml"
    config.write_text(
        f"version: 1\nname: shop\nkind: sqlite-wal\nsource: {{path: {source}}}\napplication: {{sqlite: 3.53.0}}\n"
    )
    return config


def check(
    config: Path, *words: str, before: tuple[str, ...] = (), env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [
        *before,
        sys.executable,
        "-m",
        "stepflow_tui",
        "check",
        str(config),
        "--state-dir",
        str(config.parent / "state"),
        "--json",
    ]
    variables = {"PATH": os.environ["PATH"], "HOME": str(config.parent), "PYTHONPATH": str(ROOT), **(env or {})}
    return subprocess.run([*command, *words], env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_asks_no_postgresql_and_ends_with_0_or_4(shop: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, shop)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        env = {"PGHOST": "127.0.0.1", "PGPORT": port, "DATABASE_URL": f"postgresql://u:p@127.0.0.1:{port}/d"}
        done = check(config, env=env)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()  # nobody came
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["exit_code"] == 0
    assert not [f for f in answer["findings"] if f["severity"] == "blocking"]
    os.link(shop, shop.with_name("second.db"))
    again = check(config)
    assert again.returncode == 4
    assert [f["code"] for f in json.loads(again.stdout)["findings"] if f["severity"] == "blocking"] == [
        "source_hard_links"
    ]


def test_a_target_can_not_be_made_for_it(shop: Path, tmp_path: Path) -> None:
    done = check(
        write_config(tmp_path, shop),
        "--create-target",
        "--yes",
        env={"STEPFLOW_ADMIN_DSN": "postgresql://a@127.0.0.1:1/x"},
    )
    assert done.returncode == 2
    assert "--create-target" in done.stderr + done.stdout

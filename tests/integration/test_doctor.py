"""`doctor` beside real trouble: each is recognised, explained, and left as it is."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import struct
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.config import LoadedConfig
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.facade import doctor_database, target_look
from stepflow_tui.engine.facade.doctor import doctor
from stepflow_tui.engine.facade.doctor_access import access_problems
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.sqlite.child import path_text
from stepflow_tui.engine.sqlite.copy_check_child import handle
from tests.monitor_kit import holding, make_shop, shop_config, side_files, stepflow, web

ROOM: dict[str, Any] = {"requirements": {"disk": {"minimum": "1", "recommended": "2"}}}
STRANGER = 12_345

pytestmark = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="this system does not list locks")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    make_shop(path)
    return path


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_database, "LOOKS", 3)
    monkeypatch.setattr(doctor_database, "EVERY", 0.05)


async def problems(loaded: LoadedConfig) -> dict[str, Mapping[str, Any]]:
    found = await doctor(loaded.path.parent / "state", loaded)
    return {problem["code"]: problem for problem in found["problems"]}


async def test_all_is_well_and_nothing_is_touched(shop: Path, tmp_path: Path) -> None:
    before = shop.read_bytes(), side_files(shop), shop.stat().st_mtime_ns
    assert await problems(shop_config(tmp_path, **ROOM)) == {}
    assert (shop.read_bytes(), side_files(shop), shop.stat().st_mtime_ns) == before
    assert not (tmp_path / "state").exists()


async def test_a_database_that_is_called_like_a_side_file_is_no_leftover(shop: Path, tmp_path: Path) -> None:
    shop.rename(tmp_path / "app-wal")
    (tmp_path / "gone.db-wal").write_bytes(b"x")
    loaded = shop_config(tmp_path, source={"path": "./app-wal"}, **ROOM)
    found = await doctor(tmp_path / "state", loaded)
    assert [p["params"]["side"] for p in found["problems"]] == [str(tmp_path / "gone.db-wal")]


async def test_what_was_looked_at_is_told_and_what_was_not(shop: Path, tmp_path: Path) -> None:
    """A fine database gets no empty answer, and no answer that claims more than was done."""
    found = await doctor(tmp_path / "state", shop_config(tmp_path, **ROOM))
    looks = {look["name"]: look for look in found["looked"]}
    assert {name for name, look in looks.items() if look["looked"]} == {
        "database", "locks", "wal", "inside", "processes", "runs",
    }  # fmt: skip
    assert "sound" in looks["database"]["about"]
    assert "application.health" in looks["health"]["about"]
    assert "{" not in str([look["about"] for look in found["looked"]])
    with web() as url, holding(shop, "select 1"):
        loaded = shop_config(tmp_path, application={"health": [{"http": url}]}, **ROOM)
        found = await doctor(tmp_path / "state", loaded)
    looks = {look["name"]: look for look in found["looked"]}
    assert looks["health"]["looked"]
    assert "1 processes" in looks["processes"]["about"]
    (tmp_path / "shop.db").write_bytes(b"no database at all, but long enough to be looked at" * 40)
    looks = {look["name"]: look for look in (await doctor(tmp_path / "state", loaded))["looked"]}
    assert not any(looks[name]["looked"] for name in ("locks", "wal", "inside"))


async def test_what_this_system_hides_is_not_called_looked_at(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_database, "locks_on", lambda _path: None)
    monkeypatch.setattr(doctor_database, "CHECK_BYTES", 4096)
    found = await doctor(tmp_path / "state", shop_config(tmp_path, **ROOM))
    looks = {look["name"]: look for look in found["looked"]}
    assert (looks["locks"]["looked"], looks["inside"]["looked"]) == (False, False)
    assert "larger than" in looks["inside"]["about"]


def test_the_command_says_that_nothing_was_found(shop: Path, tmp_path: Path) -> None:
    config = shop_config(tmp_path, **ROOM).path
    state = tmp_path / "state"
    said = stepflow("doctor", str(config), state=state)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "Nothing wrong was found in what was looked at." in said.stdout
    assert "NOT LOOKED  health" in said.stdout
    told = json.loads(stepflow("doctor", str(config), "--json", state=state).stdout)
    assert told["problems"] == []
    assert {look["name"] for look in told["looked"]} >= {"database", "inside", "health", "postgresql"}
    without = json.loads(stepflow("doctor", "--json", state=state).stdout)
    assert [look["name"] for look in without["looked"] if not look["looked"]] == ["database", "application"]


@pytest.mark.parametrize("used", [False, True])
async def test_wal_is_not_active(used: bool, tmp_path: Path) -> None:
    make_shop(tmp_path / "shop.db", "delete")
    loaded = shop_config(tmp_path, **ROOM)
    if used:
        with holding(tmp_path / "shop.db", "select 1 from orders"):
            found = await problems(loaded)
    else:
        found = await problems(loaded)
    assert set(found) == {"wal_not_active"}
    assert found["wal_not_active"]["params"]["mode"] == "delete"
    copy = shop_config(tmp_path, kind="sqlite-to-postgres", target={"embedded": True}, **ROOM)
    assert "wal_not_active" not in await problems(copy), "only where WAL is what the config is about"


LOCKS = {
    "wal_writer": ("wal", ("begin immediate", "insert into orders(note) values ('x')"), "writing"),
    "exclusive": ("delete", ("begin exclusive",), "exclusive"),
    "waiting": ("delete", ("begin immediate",), "waiting to write"),
    "reader_of_a_rollback_journal": ("delete", ("begin", "select * from orders"), "reading"),
}


@pytest.mark.parametrize("case", LOCKS)
async def test_the_holder_of_a_lock_is_named(case: str, tmp_path: Path) -> None:
    mode, statements, what = LOCKS[case]
    make_shop(tmp_path / "shop.db", mode)
    loaded = shop_config(tmp_path, **ROOM)
    with holding(tmp_path / "shop.db", *statements) as pid:
        found = await problems(loaded)
    assert f"pid {pid} (" in found["database_locked"]["what"]
    assert f": {what}" in found["database_locked"]["what"]
    assert "busy_timeout" in found["database_locked"]["fix"]
    assert "database_locked" not in await problems(loaded), "gone with its holder"


async def test_a_reader_that_pins_the_log(shop: Path, tmp_path: Path) -> None:
    loaded = shop_config(tmp_path, monitor={"limits": {"wal": "4KiB"}}, **ROOM)
    with (
        holding(shop, "begin", "select * from orders") as pid,
        closing(sqlite3.connect(shop, isolation_level=None)) as writer,
    ):
        writer.execute("update orders set note = 'x'")
        found = await problems(loaded)
        assert f"pid {pid} (" in found["wal_large"]["why"]
        found = await problems(shop_config(tmp_path, **ROOM))
        assert set(found) == {"wal_pinned"}
        assert found["wal_pinned"]["severity"] == "info"
    assert set(await problems(loaded)) == set(), "the last connection emptied it"


async def test_slow_broken_and_large(shop: Path, tmp_path: Path) -> None:
    tight = {"limits": {"latency": "10ms", "memory": "1MiB"}}
    with web(delay=0.05) as slow, web(503) as broken, holding(shop, "select 1") as pid:
        application = {"health": [{"http": slow}, {"http": broken}]}
        found = await problems(shop_config(tmp_path, monitor=tight, application=application, **ROOM))
    assert set(found) == {"slow_response", "unhealthy", "high_memory"}
    assert len(found["slow_response"]["evidence"]) == 3
    assert "status 503" in found["unhealthy"]["what"]
    assert found["high_memory"]["params"]["pid"] == pid


async def test_a_damaged_database_is_found_on_a_copy(shop: Path, tmp_path: Path) -> None:
    make_shop(tmp_path / "big.db", rows=20_000)
    with (tmp_path / "big.db").open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * 4096)
    (tmp_path / "big.db").replace(shop)
    before = shop.read_bytes()
    found = await problems(shop_config(tmp_path, **ROOM))
    assert found["data_damaged"]["evidence"]
    assert shop.read_bytes() == before


async def test_what_is_sound_is_not_called_damaged(shop: Path, tmp_path: Path) -> None:
    """`quick_check` of SQLite 3.40 sees NULL in keys WITHOUT ROWID; a missing collation is no damage, and not called sound."""
    with closing(sqlite3.connect(shop)) as conn:
        conn.execute("create table w(a, b, primary key(b, a)) without rowid")
        conn.execute("insert into w values (1, 2), (2, 1)")
        conn.commit()
    assert await problems(shop_config(tmp_path, **ROOM)) == {}
    with closing(sqlite3.connect(shop)) as conn:
        conn.create_collation("OWN", lambda a, b: (a > b) - (a < b))
        conn.execute("create table k(a text collate OWN primary key)")
        conn.execute("insert into k values ('x'), ('y')")
        conn.commit()
    found = await problems(shop_config(tmp_path, **ROOM))
    assert set(found) == {"data_unchecked"}
    assert "OWN" in found["data_unchecked"]["what"] + found["data_unchecked"]["why"]


async def test_what_is_read_while_somebody_opens_it_is_no_damage(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read without locks, a page in writing looks broken."""
    came, really = sqlite3.connect(shop), doctor_database.run_child

    async def meanwhile(module: str, request: dict[str, Any]) -> Any:
        if "copy_check" not in module:
            return await really(module, request)
        came.execute("select count(*) from orders").fetchone()
        return {"lines": ["row 1 missing from index x"], "problem": ""}

    monkeypatch.setattr(doctor_database, "run_child", meanwhile)
    with closing(came):
        assert set(await problems(shop_config(tmp_path, **ROOM))) == {"data_unchecked"}


@pytest.mark.parametrize("living", [False, True])
async def test_the_check_of_the_copy_is_honest(living: bool, shop: Path, tmp_path: Path) -> None:
    request = {"path": path_text(shop), "copy": path_text(tmp_path / "copy"), "immutable": not living}
    assert handle(request, lambda _event: None) == {"lines": [], "problem": ""}
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        assert copy.execute("select count(*) from orders").fetchone() == (100,)


async def test_what_is_too_large_is_said_not_to_be_checked(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_database, "CHECK_BYTES", 4096)
    assert set(await problems(shop_config(tmp_path, **ROOM))) == {"data_unchecked"}


async def test_files_that_are_no_database(tmp_path: Path) -> None:
    loaded, path = shop_config(tmp_path, **ROOM), tmp_path / "shop.db"
    assert set(await problems(loaded)) == {"database_missing"}
    path.write_bytes(b"PGDMP and more")
    assert set(await problems(loaded)) == {"database_no_database"}
    path.unlink()
    path.mkdir()
    assert set(await problems(loaded)) == {"database_no_database"}


async def test_a_hot_journal_and_what_was_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    make_shop(path, "delete", rows=2_000)
    with holding(path, "pragma cache_size=5", "begin immediate", "update orders set note = 'changed'"):
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("shop.db", "shop.db-journal"):
            shutil.copy(tmp_path / name, copy / name)
    found = await problems(shop_config(copy, **ROOM))
    assert set(found) == {"hot_journal"}
    (copy / "old.db-wal").write_bytes(b"something")
    (copy / "shop.db-journal").unlink()
    (copy / "shop.db-wal").write_bytes(b"of another time")
    found = await problems(shop_config(copy, kind="sqlite-to-postgres", target={"embedded": True}, **ROOM))
    assert {"side_file_orphan", "wal_leftover"} <= set(found)
    assert "old.db" in found["side_file_orphan"]["what"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes files of other users")
async def test_permissions_of_the_applications_user(shop: Path, tmp_path: Path) -> None:
    loaded = shop_config(tmp_path, **ROOM)
    os.chown(shop, STRANGER, STRANGER)
    shop.chmod(0o600)
    found = await problems(loaded)
    assert "permission_folder" in found
    assert f"uid {STRANGER}" in found["permission_folder"]["what"]
    os.chown(tmp_path, STRANGER, STRANGER)
    with closing(sqlite3.connect(shop)) as root:
        root.execute("insert into codes values ('made by root')")
        root.commit()
        os.chown(tmp_path / "shop.db-wal", 0, 0)
        (tmp_path / "shop.db-wal").chmod(0o600)
        found = {p.code for p in access_problems(shop, ())}
    assert "permission_side_file" in found
    shop.chmod(0o400)
    assert "permission_file" in {p.code for p in access_problems(shop, ())}


async def test_a_full_disk_is_told(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tight = {"requirements": {"disk": {"minimum": "900TiB", "recommended": "901TiB"}}}
    assert set(await problems(shop_config(tmp_path, **tight))) == {"disk_low"}
    monkeypatch.setattr(doctor_database, "FULL_BYTES", 1 << 60)
    assert "disk_full" in await problems(shop_config(tmp_path, **tight))


async def test_the_application_does_not_run(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "app.pid").write_text("999999\n")
    (tmp_path / "app.log").write_text("starting\nDB_PASSWORD=canary-of-log\nERROR address in use\n")
    recipe = {"kind": "command", "command": "./app", "pid_file": "./app.pid", "log": "./app.log"}
    loaded = shop_config(tmp_path, application={"recipe": recipe}, monitor={"logs": [{"file": "./app.log"}]}, **ROOM)
    found = await problems(loaded)
    assert set(found) == {"application_not_running", "pid_file_stale", "log_errors"}
    assert found["application_not_running"]["evidence"][-1] == "ERROR address in use"
    assert "canary-of-log" not in str(found)
    (tmp_path / "app.pid").unlink()
    assert "pid_file_stale" not in await problems(loaded)


TARGETS = {
    "refused": ("postgresql://u@127.0.0.1:1/x?connect_timeout=2", "postgres_refused"),
    "name": ("postgresql://u@no-such-host.invalid/x?sslmode=disable&connect_timeout=2", "postgres_host_unknown"),
}


@pytest.mark.parametrize("case", TARGETS)
async def test_why_postgresql_is_not_reached(case: str, shop: Path, tmp_path: Path) -> None:
    dsn, code = TARGETS[case]
    loaded = shop_config(tmp_path, kind="sqlite-to-postgres", target={"dsn": dsn}, **ROOM)
    assert set(await problems(loaded)) == {code}


async def test_postgresql_answers_but_not_for_us(shop: Path, tmp_path: Path, pg_target: Target) -> None:
    wrong = pg_target.at("no_such_database").uri()
    loaded = shop_config(tmp_path, kind="sqlite-to-postgres", target={"dsn": wrong}, **ROOM)
    assert set(await problems(loaded)) == {"postgres_database"}
    wrong = replace(pg_target, password="canary-of-pg").uri()
    found = await problems(shop_config(tmp_path, kind="sqlite-to-postgres", target={"dsn": wrong}, **ROOM))
    assert set(found) == {"postgres_login"}
    assert "canary-of-pg" not in str(found)
    right = shop_config(tmp_path, kind="sqlite-to-postgres", target={"dsn": pg_target.uri()}, **ROOM)
    assert await problems(right) == {}


@pytest.mark.parametrize(("error", "code"), [
    ("password_refused", "postgres_login"), ("tls_refused", "postgres_tls"), ("target_timeout", "postgres_timeout"),
])  # fmt: skip
async def test_refusals_are_told_apart(
    error: str, code: str, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: Target) -> None:
        raise StepFailed("No.", hint="Do.", code=error)

    monkeypatch.setattr(target_look.Target, "connect", refuse)
    dsn = {"dsn": "postgresql://u@127.0.0.1/x"}
    assert set(await problems(shop_config(tmp_path, kind="sqlite-to-postgres", target=dsn, **ROOM))) == {code}


async def test_the_embedded_server_does_not_run(shop: Path, tmp_path: Path) -> None:
    loaded = shop_config(tmp_path, kind="sqlite-to-postgres", target={"embedded": True}, **ROOM)
    assert set(await problems(loaded)) == {"embedded_not_running"}


def test_the_command(shop: Path, tmp_path: Path) -> None:
    loaded = shop_config(tmp_path, **ROOM)
    done = stepflow("doctor", str(loaded.path), "--json", state=tmp_path / "state")
    found = json.loads(done.stdout)
    assert (done.returncode, found["problems"], done.stderr) == (0, [], "")
    data = bytearray(shop.read_bytes())
    struct.pack_into(">BB", data, 18, 1, 1)
    shop.write_bytes(data)
    done = stepflow("doctor", str(loaded.path), state=tmp_path / "state")
    assert (done.returncode, done.stderr) == (4, "")
    assert "warning wal_not_active" in done.stdout
    told = done.stdout.partition("warning wal_not_active")[2]
    assert all(len(line) <= 80 for line in told.splitlines())
    done = stepflow("doctor", str(tmp_path / "none.yaml"), state=tmp_path / "state")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)

"""What bad input gets: one message with code and hint, the documented exit code, no traceback, the source as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stepflow_tui.engine.postgres.embedded import Embedded
from tests.acceptance import sources
from tests.acceptance.compare import compare
from tests.acceptance.harness import Ran, Stand, standing, wait_for
from tests.conftest import Server
from tests.run_kit import until


def one_message(ran: Ran, code: int) -> str:
    """The run ended with one error that says what, and what to do; returns its code."""
    assert ran.code == code, ran.out + ran.err
    (error,) = ran.errors
    assert error["message"]
    assert error["hint"]
    assert error["exit_code"] == code
    return str(error["code"])


def _missing(path: Path) -> None:
    assert not path.exists()


def _noise(path: Path) -> None:
    path.write_bytes(os.urandom(16384))


def _letter(path: Path) -> None:
    path.write_text("Dear reader,\nthis is a letter.\n" * 200)


def _folder(path: Path) -> None:
    path.mkdir()


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (_missing, "source_missing"),
    "encrypted": (_noise, "source_encrypted"),
    "not_sqlite": (_letter, "source_not_sqlite"),
    "directory": (_folder, "source_directory"),
    "corrupt": (sources.corrupt, "source_corrupt"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_source_that_can_not_be_used(name: str, stand: Stand) -> None:
    build, code = REFUSED[name]
    build(stand.source)
    before, target = stand.source_hash(), stand.target_hash()
    ran = stand.run()
    assert one_message(ran, 4) == code
    assert ran.last["result"] == "refused"
    assert (stand.source_hash(), stand.target_hash()) == (before, target)
    assert stand.report()["result"] == "refused"
    checked = stand.cli("check", str(stand.config_path), "--json")
    assert checked.code == (0 if name == "corrupt" else 4)  # a quick look can't see every damage
    assert stand.source_hash() == before
    shutil.rmtree(stand.source) if stand.source.is_dir() else stand.source.unlink(missing_ok=True)
    sources.shop(stand.source)
    assert stand.run().code == 0


def test_an_empty_file_is_nothing_to_migrate(stand: Stand) -> None:
    stand.source.touch()
    ran = stand.run()
    assert (ran.code, ran.last["result"]) == (0, "completed"), ran.out
    assert [f["severity"] for f in stand.report()["findings"] if f["code"] == "source_empty"] == ["warning"]
    assert stand.source.stat().st_size == 0


def test_a_hot_journal_is_recovered_in_a_copy(stand: Stand) -> None:
    sources.hot(stand.source)
    before = stand.source_hash()
    ran = stand.run()
    assert ran.code == 0, ran.out
    assert stand.source_hash() == before
    assert "source_hot_journal" in {f["code"] for f in stand.report()["findings"]}
    assert stand.sql("select count(*) from orders where note = '\\x" + "00" * 40 + "'") == [(1,)]
    assert stand.sql("select count(*) from orders") == [(400,)]


def test_a_live_wal_with_an_open_writer(stand: Stand) -> None:
    sources.shop(stand.source, "pragma journal_mode=wal")
    added = "insert into customer values(100001,'only in the wal','2024-01-01')"
    with sources.holding(stand.source, "pragma wal_autocheckpoint=0", added):
        before = stand.source_hash()
        assert before[1] is not None
        ran = stand.run()
        assert ran.code == 0, ran.out
        assert stand.source_hash() == before
        assert stand.sql("select email from customer where id = 100001") == [("only in the wal",)]
        compare(stand, stand.report())


@contextmanager
def write_protected(folder: Path) -> Iterator[list[str]]:
    """A folder that nobody may write for as long as the block lasts; gives what to put before a command."""
    if os.getuid() != 0:
        folder.chmod(0o555)
        yield []
        folder.chmod(0o755)
        return
    # permissions don't bind root; a read-only mount, seen by the command alone, does
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    before = ["unshare", "-m", "sh", "-c", script, str(folder)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*before, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no way to make a folder read-only for root here")
    yield before


@pytest.mark.parametrize("wal", ["empty", "live"])
def test_a_source_folder_that_can_not_be_written(wal: str, stand: Stand) -> None:
    kept = stand.folder / "kept"
    kept.mkdir()
    stand.source = sources.shop(kept / "shop.db", "pragma journal_mode=wal")
    if wal == "live":
        sources.crash(stand.source, "pragma wal_autocheckpoint=0", "delete from orders where id = 1")
        kept.joinpath("shop.db-shm").unlink()
    stand.config()
    before, names = stand.source_hash(), sorted(p.name for p in kept.iterdir())
    with write_protected(kept) as first:
        ran = stand.run(before=first)
        if wal == "live":
            assert one_message(ran, 4) == "source_wal_locked_in"
        else:
            assert ran.code == 0, ran.out
    assert (stand.source_hash(), sorted(p.name for p in kept.iterdir())) == (before, names)
    if wal == "empty":
        compare(stand, stand.report())


def _role(stand: Stand, name: str, password: str) -> str:
    """A login role without rights; returns its DSN."""
    stand.sql(f"create role {name} login password '{password}'", "select 1")
    parts = urlsplit(stand.dsn)
    return parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()


@pytest.fixture
def role(stand: Stand, pg_server: Server) -> Iterator[str]:
    """Name of a role that is removed after the test."""
    name = f"acc_{stand.dsn.partition('?')[0].rpartition('_')[2]}"
    yield name
    stand.sql("revoke all on schema public from public", "select 1")
    pg_server.sql(f'drop role if exists "{name}"')


def test_a_target_that_is_down(stand: Stand, tmp_path: Path) -> None:
    sources.shop(stand.source)
    good = stand.dsn
    stand.dsn = f"postgresql://someone:secret@/shop?host={tmp_path}"
    assert one_message(stand.run(), 3)
    stand.dsn = good
    assert stand.run().code == 0


def test_a_wrong_password(stand: Stand) -> None:
    sources.shop(stand.source)
    parts = urlsplit(stand.dsn)
    good = stand.dsn
    stand.dsn = good.replace(f":{parts.password}@", ":wr0ng-c4nary@")
    assert one_message(stand.run(), 3) == "password_refused"
    _nowhere(stand.state, b"wr0ng-c4nary", (parts.password or "").encode())
    stand.dsn = good
    assert stand.run().code == 0


def test_a_role_without_rights(stand: Stand, role: str) -> None:
    sources.shop(stand.source)
    admin = stand.dsn
    stand.dsn = _role(stand, role, "c4nary-limited")
    ran = stand.run()
    assert one_message(ran, 4)
    assert "grant create" in ran.out.lower()
    assert "on schema" in ran.out.lower()
    stand.dsn = admin
    assert stand.sql("select count(*) from pg_class where relnamespace = 'public'::regnamespace") == [(0,)]


def test_a_target_that_is_not_empty(stand: Stand) -> None:
    sources.shop(stand.source)
    stand.sql("create table mine(id int)", "insert into mine values (1)", "select 1")
    before = stand.target_hash()
    assert one_message(stand.run(), 4) == "target_not_empty"
    assert stand.target_hash() == before
    stand.sql("drop table mine", "select 1")
    assert stand.run().code == 0


def _copying(stand: Stand) -> None:
    """Wait until a part of the rows, and not all of them, is in the target."""
    done = "select count(*) from _stepflow.ledger where state = 'done'"
    until(lambda: stand.sql("select to_regclass('_stepflow.ledger') is not null")[0][0], 60)
    until(lambda: stand.sql(done)[0][0] > 0, 60)


def test_connections_cut_in_mid_copy(stand: Stand) -> None:
    sources.long(stand.source, 30_000)
    stand.config(copy={"max_rows_per_second": 6_000})
    process = stand.start("run", str(stand.config_path), "--json", "--yes")
    _copying(stand)
    stand.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    )
    ran = stand.ended(process)
    if ran.code != 0:  # lost for good only if the cut hit what can't simply be tried again
        assert one_message(ran, 3)
        again = stand.run()
        assert (again.code, again.last["run"]) == (0, ran.last["run"]), again.out
    compare(stand, stand.report())


def test_an_embedded_server_killed_in_mid_copy(tmp_path: Path) -> None:
    with standing(tmp_path, "") as stand:
        embedded = Embedded(stand.state)
        try:
            _killed_in_mid_copy(stand)
        finally:
            stand.close()
            stand.cli("embedded", "stop")
            wait_for(embedded.remove())


def _killed_in_mid_copy(stand: Stand) -> None:
    sources.long(stand.source, 30_000)
    stand.config(copy={"max_rows_per_second": 6_000}, target={"embedded": True})
    process = stand.start("run", str(stand.config_path), "--json", "--yes")
    until(lambda: stand.state.exists() and stand.cli("embedded", "dsn", "--json").code == 0, 120)
    stand.dsn = stand.cli("embedded", "dsn", "--json").object["dsn"]
    stand.dsn = urlsplit(stand.dsn)._replace(path=f"/{stand.name}").geturl()
    _copying(stand)
    (postmaster,) = stand.sql("select pg_read_file('postmaster.pid')")
    os.kill(int(postmaster[0].split()[0]), 9)
    assert one_message(stand.ended(process), 3)
    assert stand.run().code == 0
    stand.dsn = stand.cli("embedded", "dsn", "--json").object["dsn"]
    stand.dsn = urlsplit(stand.dsn)._replace(path=f"/{stand.name}").geturl()
    compare(stand, stand.report())


CONFIGS = {
    "unknown_key": ("sauce: {path: x.db}\n", "source"),
    "wrong_type": ("source: 7\n", "source"),
    "missing_variable": ("target: {dsn: '${NOWHERE_SET}'}\n", "NOWHERE_SET"),
    "duplicate_key": ("name: a\nname: b\n", "name"),
    "tabs": ("source:\n\tpath: x.db\n", "tab"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_can_not_be_used(name: str, tmp_path: Path) -> None:
    text, word = CONFIGS[name]
    with standing(tmp_path, "") as stand:
        base = "version: 1\nkind: sqlite-to-postgres\n"
        rest = {
            "name": "name: acc\n",
            "source": "source: {path: x.db}\n",
            "target": "target: {dsn: 'postgresql://h/db'}\n",
        }
        filled = "".join(line for key, line in rest.items() if not text.startswith(f"{key}:"))
        stand.config_path.write_text(base + filled + text)
        ran = stand.run()
        assert one_message(ran, 2)
        detail = ran.errors[0]["message"] + ran.errors[0]["detail"]
        assert f"{stand.config_path.name}:" in detail
        assert word in detail
        assert stand.runs == []
        shown = stand.cli("run", str(stand.config_path), "--yes")
        assert (shown.code, "hint:" in shown.err) == (2, True)


def test_no_config_at_all(tmp_path: Path) -> None:
    with standing(tmp_path, "") as stand:
        stand.config_path.unlink()
        assert one_message(stand.run(), 2)


def test_a_second_run_on_the_same_source(stand: Stand, pg_server: Server) -> None:
    sources.long(stand.source, 30_000)
    stand.config(copy={"max_rows_per_second": 2_000})
    process = stand.start("run", str(stand.config_path), "--json", "--yes")
    _copying(stand)
    elsewhere = pg_server.create("acc")
    stand.name = "other"
    stand.config()
    other = stand.run(env={"TARGET_DSN": elsewhere.application_uri()})
    pg_server.drop(elsewhere)
    assert one_message(other, 7) == "source_held"
    assert stand.ended(process).code == 0


def test_a_second_run_into_the_same_target(stand: Stand) -> None:
    sources.long(stand.source, 30_000)
    stand.config(copy={"max_rows_per_second": 6_000})
    process = stand.start("run", str(stand.config_path), "--json", "--yes")
    _copying(stand)
    stand.name, stand.source = "other", stand.folder / "second.db"
    sources.shop(stand.source)
    stand.config()
    assert stand.run().code in (4, 7)
    assert stand.ended(process).code == 0


def test_a_plan_whose_source_has_drifted(stand: Stand) -> None:
    sources.shop(stand.source)
    plan = stand.folder / "plan.json"
    assert stand.cli("plan", str(stand.config_path), "--out", str(plan)).code == 0
    with sqlite3.connect(stand.source) as conn:
        conn.execute("alter table customer add column phone text")
    conn.close()
    target = stand.target_hash()
    ran = stand.run("--plan", str(plan))
    assert one_message(ran, 4) == "plan_drift"
    assert "customer" in ran.errors[0]["detail"]
    assert stand.target_hash() == target
    assert stand.cli("plan", str(stand.config_path), "--out", str(plan)).code == 0
    assert stand.run("--plan", str(plan), "--new").code == 0


def test_nobody_to_ask(stand: Stand) -> None:
    sources.shop(stand.source)
    stand.config(checklist={"before": ["call Ann"]})
    ran = stand.run(yes=False)
    assert one_message(ran, 6) if ran.errors else ran.code == 6
    assert ran.last["result"] == "waiting"
    again = stand.run()
    assert (again.code, again.last["run"]) == (0, ran.last["run"])
    assert {i["by"] for i in stand.report()["checklist"] if i["title"] == "call Ann"} == {"--yes"}


def test_no_secret_in_any_artefact(stand: Stand) -> None:
    sources.shop(stand.source)
    assert stand.run().code == 0
    password = urlsplit(stand.dsn).password
    assert password
    _nowhere(stand.state, password.encode())
    assert {f.name for f in stand.run_dir.iterdir()} >= {
        "journal.db",
        "report.json",
        "report.md",
        "report.html",
        "engine.log",
    }


def _nowhere(folder: Path, *secrets: bytes) -> None:
    files = [f for f in folder.rglob("*") if f.is_file()]
    assert files
    for secret in secrets:
        assert [f for f in files if secret in f.read_bytes()] == []

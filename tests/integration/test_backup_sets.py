"""`backups make|list|verify|schedule|restore`, from the command line, with runs and without."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.sqlite.fence import raise_fence, set_owner
from tests.acceptance.harness import Stand, standing
from tests.capture_kit import installed


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """A source with a row, uploads beside it, and a config that saves both; no target is asked for here."""
    with standing(tmp_path, "postgresql://nobody@127.0.0.1:1/none") as made:
        grow(made, "a")
        (tmp_path / "uploads").mkdir()
        (tmp_path / "uploads" / "a.jpg").write_bytes(os.urandom(2000))
        made.config(application={"backup": ["./uploads"]}, backup={"keep": 2})
        yield made


Quick = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def quick(stand: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Quick:
    """The command line in this process, with `--json`: exit code and object."""
    from stepflow_tui.cli.app import run_command_line

    monkeypatch.setenv("TARGET_DSN", stand.dsn)
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def call(*args: str) -> tuple[int, dict[str, Any]]:
        code = run_command_line([*args, "--json", "--state-dir", str(stand.state)])
        return code, json.loads(capsys.readouterr().out)

    return call


def grow(stand: Stand, value: str) -> None:
    conn = sqlite3.connect(stand.source)
    conn.execute("create table if not exists t(id integer primary key, x text)")
    conn.execute("insert into t(x) values(?)", (value,))
    conn.commit()
    conn.close()


def make(stand: Stand, *args: str) -> dict[str, Any]:
    ran = stand.cli("backups", "make", str(stand.config_path), "--json", *args)
    assert ran.code == 0, ran.out + ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


def listed(stand: Stand) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(stand.cli("backups", "list", "--json").out)["backups"]
    return found


def kept(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != "lock")


def test_a_set_is_made_listed_and_verified(stand: Stand) -> None:
    made = make(stand)
    assert (made["kind"], made["files"], made["complete"]) == ("made", 2, True)  # the upload, and the config
    (row,) = listed(stand)
    assert row == {k: v for k, v in made.items() if k in row}
    for file in (made["path"], made["archive"]):
        assert Path(file).stat().st_mode & 0o077 == 0
        assert stand.cli("backups", "verify", file).code == 0
    data = bytearray(Path(made["archive"]).read_bytes())
    data[-20] ^= 1
    Path(made["archive"]).write_bytes(data)
    for file in (made["path"], made["archive"]):  # a set is as sound as its worst part
        ran = stand.cli("backups", "verify", file, "--json")
        assert (ran.code, json.loads(ran.out)["verified"]) == (4, False)
        assert json.loads(ran.out)["reason"]
    assert "2 in " in stand.cli("backups", "list").out


def test_sets_are_removed_whole_beyond_keep(stand: Stand) -> None:
    ids = []
    for value in "bcd":
        grow(stand, value)
        ids.append(make(stand)["set"])
    assert [r["set"] for r in listed(stand)] == [ids[2], ids[1]]
    names = kept(stand.state / "backups")
    assert names == sorted(f"{i}{e}" for i in ids[1:] for e in (
        ".db", ".db.json", ".files.tar.gz", ".files.tar.gz.json", ".set.json"
    ))  # fmt: skip


def test_what_a_killed_one_left_is_cleared_away(stand: Stand) -> None:
    first = make(stand)["set"]
    folder = stand.state / "backups"
    for ending in (".db", ".db.json", ".db.partial", ".files.tar.gz", ".files.tar.gz.partial"):
        (folder / f"acc-20260101T000000-abcd{ending}").touch()
    (folder / "mine.txt").touch()
    second = make(stand)["set"]
    assert {n.partition(".")[0] for n in kept(folder)} == {first, second, "mine"}


def test_a_set_that_a_killed_restore_needs_is_kept(stand: Stand) -> None:
    first = make(stand)["set"]
    armed = {"STEPFLOW_FAILPOINT": "restore_move:2:kill"}
    assert stand.cli("backups", "restore", "--set", first, "--yes", env=armed).code < 0
    conn = sqlite3.connect(stand.source)  # the database is away: what an application would make now
    conn.execute("create table t(x)")
    conn.close()
    for _ in range(3):
        make(stand)
    assert first in {r["set"] for r in listed(stand)}
    assert stand.cli("backups", "restore", "--set", first, "--yes").code == 0


def test_what_cant_be_made_leaves_nothing(stand: Stand) -> None:
    stand.config(application={"backup": ["./uploads", "./gone"]})
    ran = stand.cli("backups", "make", str(stand.config_path), "--json")
    assert (ran.code, json.loads(ran.out)["error"]["code"]) == (4, "archive_place_missing")
    assert kept(stand.state / "backups") == []
    assert listed(stand) == []


def test_two_at_a_time_are_refused(stand: Stand) -> None:
    import fcntl

    make(stand)
    with (stand.state / "backups" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = stand.cli("backups", "make", str(stand.config_path), "--json")
    assert (ran.code, json.loads(ran.out)["error"]["code"]) == (7, "backups_held")


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--run", "acc"),
        ("--everything",),
        ("x.db",),
        ("x.db", "--to", "y.db", "--run", "acc", "--everything"),
        ("--set", "a", "--run", "b"),
    ],
)
def test_what_is_restored_has_to_be_said(args: tuple[str, ...], quick: Quick) -> None:
    code, said = quick("backups", "restore", *args, "--yes")
    assert (code, said["error"]["code"]) == (2, "restore_what")


def test_no_such_set(quick: Quick) -> None:
    code, said = quick("backups", "restore", "--set", "nope", "--yes")
    assert (code, said["error"]["code"]) == (2, "no_such_run")


@pytest.mark.parametrize(
    ("every", "cron", "timer"),
    [
        ("1d", "0 3 * * *", "OnCalendar=*-*-* 03:00:00"),
        ("6h", "0 */6 * * *", "OnUnitActiveSec=21600"),
        ("1h", "0 * * * *", "OnCalendar=hourly"),
        ("15m", "*/15 * * * *", "OnUnitActiveSec=900"),
        ("7d", "0 3 * * 1", "OnCalendar=Mon *-*-* 03:00:00"),
        ("2d", "0 3 */2 * *", "OnUnitActiveSec=172800"),
        ("7h", "", "OnUnitActiveSec=25200"),
    ],
)
def test_a_timer_and_a_line_for_cron(every: str, cron: str, timer: str, stand: Stand, quick: Quick) -> None:
    _, found = quick("backups", "schedule", str(stand.config_path), "--every", every)
    assert timer in found["timer"]
    assert found["cron"].startswith(cron)
    assert bool(found["cron"]) == bool(cron)
    assert found["variables"] == ["TARGET_DSN"]
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(found["service"])
    assert unit["Service"]["ExecStart"].startswith('"')
    assert "nobody" not in str(found)  # names of variables, never what is in them


def test_what_is_printed_runs_as_it_stands(stand: Stand) -> None:
    found = json.loads(stand.cli("backups", "schedule", str(stand.config_path), "--json").out)
    command = found["cron"].split(" ", 5)[5].replace("\\%", "%")
    assert shlex.split(command)[0] == sys.executable
    ran = subprocess.run(["/bin/sh", "-c", command], env=stand.environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert len(listed(stand)) == 1
    text = stand.cli("backups", "schedule", str(stand.config_path)).out
    assert "[Timer]" in text
    assert f"/etc/systemd/system/{found['name']}.timer" in text


@pytest.mark.parametrize("every", ["now", "10s", "1", "0"])
def test_times_that_make_no_sense(every: str, stand: Stand, quick: Quick) -> None:
    assert quick("backups", "schedule", str(stand.config_path), "--every", every)[0] == 2


def test_a_run_is_put_back_as_a_whole_unless_writes_have_moved(tmp_path: Path, pg_dsn: str) -> None:
    with standing(tmp_path, pg_dsn) as stand:
        grow(stand, "a")
        (tmp_path / "uploads").mkdir()
        (tmp_path / "uploads" / "a").write_text("then")
        stand.config(application={"backup": ["./uploads"]})
        assert stand.run().code == 0
        grow(stand, "b")
        (tmp_path / "uploads" / "a").write_text("now")
        everything = ("backups", "restore", "--run", "acc", "--everything", "--yes", "--json")
        gauge(stand, "postgresql")
        ran = stand.cli(*everything)
        assert (ran.code, json.loads(ran.out)["error"]["code"]) == (4, "postgres_owns_writes")
        assert (tmp_path / "uploads" / "a").read_text() == "now"
        gauge(stand, "sqlite")
        grow(stand, "c")
        make(stand)  # a set whose id begins with the run's name, too: --run means the run
        ran = stand.cli(*everything)
        assert ran.code == 0, ran.out
        assert (tmp_path / "uploads" / "a").read_text() == "then"
        conn = sqlite3.connect(stand.source)
        assert conn.execute("select group_concat(x) from t").fetchone() == ("a",)
        conn.close()
        assert stand.cli("backups", "verify", listed(stand)[0]["path"]).code == 0


def gauge(stand: Stand, owner: str) -> None:
    conn = sqlite3.connect(stand.run_dir / "journal.db")
    conn.execute(
        "insert or replace into gauge(name, data, at_ms) values('live', ?, 1)", (json.dumps({"owner": owner}),)
    )
    conn.commit()
    conn.close()


async def test_a_file_that_says_so_itself_is_not_replaced(stand: Stand) -> None:
    made = make(stand)
    await installed(stand.source)
    await raise_fence(stand.source, ["t"], owner=Owner.POSTGRESQL, wait=5)
    restore = ("backups", "restore", "--set", made["set"], "--yes", "--json")
    ran = stand.cli(*restore)
    assert (ran.code, json.loads(ran.out)["error"]["code"]) == (4, "postgres_owns_writes")
    await set_owner(stand.source, Owner.SQLITE)
    assert stand.cli(*restore).code == 0

"""Putting a whole set back: killed at every place, finished by the next one; what was there before is one set, and whole."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine import failpoints
from stepflow_tui.engine.application import putting_back
from stepflow_tui.engine.application.putting_back import Restore, Stage, place_of, plan_moves
from stepflow_tui.engine.errors import Refused, StepFailed
from stepflow_tui.engine.steps.restoring.restore import restore_everything

ROOT = Path(__file__).parents[2]
CALL = [sys.executable, "-m", "stepflow_tui"]


class World:
    """An application with a database, uploads and settings; a set of how it was; and other content now."""

    def __init__(self, folder: Path, *, environment: str = "staging") -> None:
        self.folder, self.state = folder, folder / "state"
        self.app = folder / "app"
        self.uploads, self.source = self.app / "uploads", self.app / "data" / "shop.db"
        (self.uploads / "2026").mkdir(parents=True)
        self.source.parent.mkdir()
        self.config = self.app / "stepflow.yaml"
        self.config.write_text(
            "version: 1\nname: shop\nkind: sqlite-to-postgres\nsource: {path: data/shop.db}\ntarget: {embedded: true}\n"
            f"environment: {environment}\napplication: {{backup: [uploads, .env, data]}}\n"
        )
        self.write("then")
        self.made = self.cli("backups", "make", str(self.config))
        self.then = self.content()
        self.again()
        self.now = self.content()

    def again(self) -> None:
        """The content of now once more, and nothing of restores before."""
        for old in [p for p in self.app.rglob("*") if "before-restore" in p.name]:
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
        self.write("now")
        (self.uploads / "new.txt").write_text("only now")

    def write(self, word: str) -> None:
        (self.app / ".env").write_text(f"MODE={word}\n")
        (self.uploads / "a.txt").write_text(word)
        (self.uploads / "2026" / "b.txt").write_text(word * 3)
        (self.source.parent / "notes.txt").write_text(word)
        conn = sqlite3.connect(self.source)
        conn.execute("pragma journal_mode=wal")
        conn.execute("create table if not exists t(x)")
        conn.execute("insert into t values(?)", (word,))
        conn.commit()
        conn.close()

    def content(self) -> dict[str, str]:
        """Every file of the application by its path; the database by its rows."""
        found = {}
        for path in sorted(p for p in self.app.rglob("*") if p.is_file() and "before-restore" not in str(p)):
            if path.name.startswith("shop.db"):
                continue
            found[str(path.relative_to(self.app))] = hashlib.sha256(path.read_bytes()).hexdigest()
        found["rows"] = ",".join(rows(self.source)) if self.source.exists() else "none"
        return found

    def run(
        self, *args: str, env: dict[str, str] | None = None, call: list[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("STEPFLOW", "PG"))}
        return subprocess.run(
            [*(call or CALL), *args, "--state-dir", str(self.state), "--json"],
            capture_output=True, text=True, check=False, timeout=60, cwd=self.folder,
            env={**kept, "PYTHONPATH": str(ROOT), **(env or {})},
        )  # fmt: skip

    def cli(self, *args: str, code: int = 0) -> dict[str, Any]:
        ran = self.run(*args)
        assert ran.returncode == code, ran.stdout + ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    @property
    def restore(self) -> tuple[str, ...]:
        return ("backups", "restore", "--set", self.made["set"], "--yes")

    def before(self, result: dict[str, Any]) -> dict[str, str]:
        """What the set that was moved aside holds."""
        found = {}
        for name in map(Path, result["aside"]):
            if name.name.startswith("shop.db") and not name.name.endswith(("-wal", "-shm", "-journal")):
                found["rows"] = ",".join(rows(name))
            for path in [name] if name.is_file() else name.rglob("*"):
                if path.is_file() and "shop.db" not in path.name:
                    found[path.name.partition(".before-restore")[0]] = path.read_text()
        return found


def rows(path: Path) -> list[str]:
    conn = sqlite3.connect(path)
    try:
        return [x for (x,) in conn.execute("select x from t order by rowid")]
    finally:
        conn.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    assert made.then != made.now
    return made


def whole(world: World, result: dict[str, Any]) -> None:
    """Everything is as it was then, and all that was there before lies aside as one set."""
    assert world.content() == world.then
    assert result["verified"]
    before = world.before(result)
    assert before["rows"] == "then,now"
    assert (before["new.txt"], before["a.txt"], before[".env"]) == ("only now", "now", "MODE=now\n")
    assert before["notes.txt"] == "now"
    drafts = [p for p in world.app.rglob("*") if ".restoring-" in p.name]
    assert drafts == []


def test_everything_is_put_back_and_the_old_set_is_whole(world: World) -> None:
    result = world.cli(*world.restore)
    whole(world, result)
    assert (result["finished"], result["strangers"]) == (False, [])
    assert (world.app / "uploads" / "a.txt").stat().st_mode & 0o777 == 0o644
    again = world.cli(*world.restore)  # once more, in the same second: another set aside, nothing mixed
    assert world.content() == world.then
    assert not set(again["aside"]) & set(result["aside"])


def forked(world: World, **env: str) -> int:
    """The restore in a process of its own that a failpoint may kill; how it ended, as a signal's negative number."""
    pid = os.fork()
    if pid == 0:
        failpoints._passed.clear()
        os.environ.update(env)
        code = 1
        try:
            asyncio.run(restore_everything(world.state, world.made["set"]))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_killed_anywhere_the_next_one_finishes_or_begins_anew(world: World) -> None:
    log = world.folder / "passes"
    assert forked(world, STEPFLOW_FAILPOINT_LOG=str(log)) == 0
    marks = log.read_text().split()
    assert {m.partition(":")[0] for m in marks} == {
        "restore_staged", "restore_move", "restore_all_away", "restore_all_into"
    }  # fmt: skip
    for mark in marks:
        world.again()
        assert forked(world, STEPFLOW_FAILPOINT=f"{mark}:kill") == -signal.SIGKILL, mark
        if mark.startswith("restore_staged"):
            assert {k: v for k, v in world.content().items() if ".restoring" not in k} == world.now
        result = asyncio.run(restore_everything(world.state, world.made["set"]))
        assert result["finished"] == (not mark.startswith("restore_staged")), mark
        whole(world, result)


WITHOUT_RECORD = """
import sys
from stepflow_tui.engine.steps.restoring import restore as restore_set
restore_set.unfinished = lambda folder: []
sys.argv[0] = "stepflow"
from stepflow_tui.cli.app import run_command_line
sys.exit(run_command_line(sys.argv[1:]))
"""


def test_without_the_record_the_old_content_would_be_lost_sight_of(world: World) -> None:
    """Negative control: what the next one would do if it did not look for a restore that was killed."""
    assert forked(world, STEPFLOW_FAILPOINT="restore_all_into:1:kill") == -signal.SIGKILL
    ran = world.run(*world.restore, call=[sys.executable, "-c", WITHOUT_RECORD])
    before = world.before(json.loads(ran.stdout))
    assert before["a.txt"] == "then", "the set that is named holds what was put back, not what was there before"


def test_what_an_application_made_between_two_halves_is_kept(world: World) -> None:
    killed = world.run(*world.restore, env={"STEPFLOW_FAILPOINT": "restore_all_away:1:kill"})
    assert killed.returncode == -signal.SIGKILL
    conn = sqlite3.connect(world.source)  # it came up, and found no database
    conn.execute("create table t(x)")
    conn.execute("insert into t values('stranger')")
    conn.commit()
    conn.close()
    result = world.cli(*world.restore)
    whole(world, result)
    (stranger,) = result["strangers"]
    assert rows(Path(stranger)) == ["stranger"]


def test_another_set_waits_for_the_one_that_was_killed(world: World) -> None:
    other = world.cli("backups", "make", str(world.config))
    assert world.run(*world.restore, env={"STEPFLOW_FAILPOINT": "restore_move:2:kill"}).returncode < 0
    error = world.cli("backups", "restore", "--set", other["set"], "--yes", code=4)["error"]
    assert error["code"] == "restore_unfinished"
    assert world.made["set"] in error["hint"]
    whole(world, world.cli(*world.restore))


def test_a_process_that_holds_the_database_stops_it(world: World) -> None:
    conn = sqlite3.connect(world.source)
    try:
        conn.execute("select * from t").fetchall()
        error = world.cli(*world.restore, code=4)["error"]
    finally:
        conn.close()
    assert error["code"] == "source_in_use"
    assert str(os.getpid()) in error["detail"]
    assert world.content() == world.now


@pytest.mark.parametrize("which", ["path", "archive"])
def test_a_damaged_set_is_not_put_back(which: str, world: World) -> None:
    file = Path(world.made[which])
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    assert world.cli(*world.restore, code=4)["error"]["code"] == "backup_damaged"
    assert world.content() == world.now


def test_production_wants_the_name(tmp_path: Path) -> None:
    world = World(tmp_path, environment="production")
    assert world.cli(*world.restore, code=6)["error"]["hint"].endswith("--yes --confirm shop.")
    assert world.cli(*world.restore, "--confirm", "other", code=6)["error"]["code"] == "wrong_confirmation"
    assert world.content() == world.now
    assert world.cli(*world.restore, "--confirm", "shop")["verified"]


def prepared(folder: Path, target: Path) -> tuple[Restore, Path]:
    """A restore of one folder, ready to move."""
    place = place_of(target, "s", folder=True)
    place.draft.mkdir()
    (place.draft / "f").write_text("then")
    restore = Restore.begin(folder / "restores" / "s", "set")
    restore.record.drafts = [str(place.draft)]
    restore.record.away, restore.record.into = plan_moves(place, [])
    restore.advance(Stage.AWAY)
    return restore, place.aside


def test_a_move_that_fails_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "t"
    target.mkdir()
    (target / "f").write_text("now")
    restore, aside = prepared(tmp_path, target)
    real = Path.rename

    def full(path: Path, to: Path) -> Path:
        if path.name.startswith(".t.restoring"):
            raise OSError(28, "No space left on device")
        return real(path, to)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(StepFailed) as caught:
        restore.go()
    assert caught.value.code == "restore_undone"
    assert (target / "f").read_text() == "now"
    assert [p.name for p in tmp_path.iterdir() if p.name != "restores"] == ["t"]
    assert not aside.exists()
    read = Restore.read(restore.folder)
    assert read is not None
    assert read.record.stage is Stage.UNDONE


def test_a_folder_that_cant_be_moved_keeps_both_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "mount"
    (target / "state").mkdir(parents=True)
    (target / "f").write_text("now")
    (target / "state" / "journal").write_text("ours")
    monkeypatch.setattr(putting_back, "_fixed", lambda _: True)
    place = place_of(target, "s", folder=True)
    assert place.draft.parent == target
    place.draft.mkdir()
    (place.draft / "f").write_text("then")
    away, into = plan_moves(place, [target / "state"])
    restore = Restore.begin(tmp_path / "restores" / "s", "set")
    restore.record.away, restore.record.into, restore.record.drafts = away, into, [str(place.draft)]
    restore.advance(Stage.AWAY)
    restore.go()
    assert (target / "f").read_text() == "then"
    assert (target / "state" / "journal").read_text() == "ours"
    assert (place.aside / "f").read_text() == "now"
    assert not place.draft.exists()
    place.draft.mkdir()
    (place.draft / "state").write_text("in the way")
    with pytest.raises(Refused, match="must stay"):
        plan_moves(place, [target / "state"])

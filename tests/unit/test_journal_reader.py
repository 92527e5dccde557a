"""What front ends see: a journal being made, closed, on a full disk; the status; events; observers."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import DiskFull, Refused, StepFailed, UsageError
from stepflow_tui.engine.journal import rows
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.journal.commands import send
from stepflow_tui.engine.journal.lock import take_lock
from stepflow_tui.engine.journal.observers import observers, watching
from stepflow_tui.engine.journal.reader import RunReader, peek_state
from stepflow_tui.engine.journal.rows import read_error
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.journal.writer import create_private
from stepflow_tui.engine.model.events import EventCode
from stepflow_tui.engine.model.finding import warning
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.model.state import RunState
from stepflow_tui.engine.steps.context import Answers
from stepflow_tui.engine.testing import FakeStep
from tests.run_kit import bench, book

KEYS = {
    "run", "name", "kind", "environment", "state", "phase", "step", "engine", "phases", "progress", "tables", "lag", "wal",
    "switch", "alerts", "observers", "rollback",
}  # fmt: skip


def test_no_journal_yet(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        RunReader(tmp_path)
    assert peek_state(tmp_path) is None
    handle = take_lock(tmp_path)
    assert peek_state(tmp_path) is RunState.PENDING  # an engine is just making it
    os.close(handle)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lock"]


def test_a_journal_that_is_being_made(tmp_path: Path) -> None:
    run_dir = tmp_path / "shop-20260101T000000-0000"
    run_dir.mkdir()
    create_private(run_dir / "journal.db")
    with RunReader(run_dir) as reader:
        status = reader.status()
        assert status.keys() >= KEYS
        assert (status["state"], status["name"], status["phases"]) == ("pending", "shop", [])
        assert reader.events() == reader.tables() == reader.audit() == []
        assert (reader.run(), reader.max_seq(), reader.plan(), reader.backup()) == (None, 0, None, None)


async def test_a_closed_journal_and_a_newer_one(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, SystemClock()) as journal:
        await journal.event(EventCode.NOTE, {"text": "x"})
    assert not (tmp_path / "journal.db-wal").exists()
    with RunReader(tmp_path) as reader:
        assert [e["data"] for e in reader.events()] == [{"text": "x"}]
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("PRAGMA user_version=999")
    db.close()
    with RunReader(tmp_path) as reader, pytest.raises(Refused):
        reader.events()


def test_a_file_that_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database, but long enough to be read as one" * 30)
    with pytest.raises(StepFailed) as caught:
        RunReader(tmp_path)
    assert caught.value.code == "journal_failed"
    assert peek_state(tmp_path) is None


def test_a_full_disk_is_not_called_corrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exc = sqlite3.OperationalError("disk I/O error")
    exc.sqlite_errorcode = sqlite3.SQLITE_IOERR
    assert read_error(exc, tmp_path).code == "journal_failed"
    monkeypatch.setattr(rows, "free_bytes", lambda _: 0)
    assert isinstance(read_error(exc, tmp_path), DiskFull)


async def test_status_of_a_working_run(tmp_path: Path) -> None:
    async def look(ctx: object) -> dict[str, object]:
        b.ctx.report(Progress(step="copy", item="t1", done=5, total=10))
        b.ctx.report(Progress(step="copy", item="t2", done=1, total=10, throttle="load"))
        await b.journal.flush_progress()
        with RunReader(b.ctx.run_dir) as reader:
            seen.append(reader.status())
        return {}

    seen: list[dict[str, object]] = []
    playbook = book(("prepare", (FakeStep(name="a"),)), ("backfill", (FakeStep(name="copy", act=look, loses="rows"),)))
    async with bench(tmp_path, playbook) as b:
        handle = take_lock(b.ctx.run_dir)
        assert await b.runner.run() == 0
        with RunReader(b.ctx.run_dir) as reader:
            after = reader.status()
        os.close(handle)
    (status,) = seen
    assert status.keys() >= KEYS
    assert (status["state"], status["phase"], status["step"]) == ("running", "backfill", "copy")
    phases = status["phases"]
    assert isinstance(phases, list)
    assert [(p["name"], p["state"]) for p in phases] == [("prepare", "done"), ("backfill", "running")]
    step = phases[1]["steps"][0]
    assert (step["title"], step["state"], step["progress"]["done"], step["progress"]["total"]) == (
        "Copy the rows", "running", 6, 20,
    )  # fmt: skip
    assert step["progress"]["throttle"] == "load"
    alerts = status["alerts"]
    assert isinstance(alerts, list)
    assert alerts == []
    assert after["alerts"] == []
    assert after["rollback"] == {"possible": True, "loses": ["rows"]}


async def test_an_open_gate_is_in_the_status(tmp_path: Path) -> None:
    async def check(ctx: object) -> dict[str, object]:
        await b.journal.set_findings("preflight", [warning("odd", "t")])
        return {}

    playbook = book(("prepare", (FakeStep(name="a", act=check),)), ("backfill", ()))
    async with bench(tmp_path, playbook, Answers()) as b:
        assert await b.runner.run() == 6
        with RunReader(b.ctx.run_dir) as reader:
            gate = reader.status()["gate"]
            finding = reader.findings()[0]
    assert gate["phase"] == "backfill"
    assert gate["questions"] == [{"kind": "warning", "id": "odd|t", "params": {"code": "odd", "object": "t"}}]
    assert (finding["code"], finding["params"]) == ("odd", {})


async def test_events_in_pieces_and_the_newest(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, SystemClock()) as journal:
        for n in range(10):
            await journal.event(EventCode.NOTE, {"n": n})
        with RunReader(tmp_path) as reader:
            first = reader.events(limit=4)
            assert [e["data"]["n"] for e in first] == [0, 1, 2, 3]
            assert [e["data"]["n"] for e in reader.events(after=first[-1]["seq"])] == [4, 5, 6, 7, 8, 9]
            assert [e["data"]["n"] for e in reader.last_events(2)] == [8, 9]
            before = reader.data_version()
            assert reader.data_version() == before
            number = send(tmp_path, "pause", who="me")
            assert reader.data_version() != before
            command = reader.command(number)
            assert command is not None
            assert (command["state"], command["args"], command["answer"]) == ("new", {}, None)


async def test_names_that_look_like_json_stay_names(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, SystemClock()) as journal:
        await journal.execute(
            "INSERT INTO tbl(source,ord,target,state,verified) VALUES('[1]',0,'public.[1]','pending','not_verified')"
        )
        await journal.execute(
            "INSERT INTO discrepancy(tbl,key,class,source) VALUES('[1]','{\"id\":1}','changed','null')"
        )
    with RunReader(tmp_path) as reader:
        assert reader.tables()[0]["source"] == "[1]"
        assert (reader.discrepancies()[0]["source"], reader.discrepancies()[0]["key"]) == ("null", {"id": 1})


def test_observers_are_counted_while_they_watch(tmp_path: Path) -> None:
    assert observers(tmp_path) == 0
    with watching(tmp_path), watching(tmp_path):
        assert observers(tmp_path) == 2
        (tmp_path / "observers" / "killed").touch()  # the file of a front end that was killed
        assert observers(tmp_path) == 2
    assert observers(tmp_path) == 0

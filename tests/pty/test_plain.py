"""`stepflow --plain` at a real terminal: numbers in, lines out, nothing drawn."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pty.plain_kit import ROOT, Terminal

MENU = 12
"""Leaves the menu of a run."""
TO_THE_FILE = (1, "", 1, 1, 1, 1, 1, 1, 1)
"""New migration, the kind that there is, the file found here, embedded, options, application, owners, saved as proposed."""
ACCEPT = (2, 2)
"""At the gate: go on, unticked items too."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a SQLite file and nothing else; its embedded server is removed afterwards."""
    with sqlite3.connect(tmp_path / "shop.db") as db:
        db.execute("create table customer(id integer primary key, name text not null)")
        db.execute("create table sale(id integer primary key, customer integer references customer, total real)")
        db.executemany("insert into customer(name) values(?)", [(f"name {n}",) for n in range(200)])
        db.executemany("insert into sale(customer, total) values(?, ?)", [(n % 200 + 1, n / 4) for n in range(900)])
    db.close()
    yield tmp_path
    subprocess.run([sys.executable, "-m", "stepflow_tui", "embedded", "stop", "--state-dir", str(tmp_path / "state")],
                   cwd=ROOT, capture_output=True, check=False)  # fmt: skip


def plain(folder: Path, *args: str, **more: Any) -> Terminal:
    return Terminal("--plain", "--state-dir", str(folder / "state"), *args, folder=folder, **more)


def report_of(folder: Path) -> dict[str, Any]:
    (file,) = (folder / "state" / "runs").glob("*/report.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
def test_from_nothing_to_a_verified_migration_by_numbers_alone(folder: Path, language: str) -> None:
    with plain(folder, "--lang", language) as terminal:
        terminal.answer(*TO_THE_FILE, 1, *ACCEPT, MENU)
        assert terminal.ended() == 0
    report = report_of(folder)
    assert (report["result"], report["exit_code"]) == ("completed", 0)
    assert {t["source"]: (t["source_rows"], t["verified"]) for t in report["tables"]} == {
        "customer": (200, "equal"),
        "sale": (900, "equal"),
    }
    assert b"\x1b" not in terminal.raw
    assert not re.search("[\u2500-\u259f✓✗▶▸]", terminal.text), "frames, bars or signs"
    assert bool(re.search("[\u4e00-\u9fff]", terminal.text)) is (language == "zh")
    assert terminal.text.count("Traceback") == 0, terminal.text


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run that waits at its first gate."""
    folder = tmp_path_factory.mktemp("waiting")
    with sqlite3.connect(folder / "shop.db") as db:
        db.execute("create table customer(id integer primary key, name text not null)")
        db.executemany("insert into customer(name) values(?)", [(f"name {n}",) for n in range(50)])
    db.close()
    with plain(folder) as terminal:
        terminal.answer(*TO_THE_FILE, 1)
        terminal.until("The run waits before")
        terminal.answer(1, MENU)
        assert terminal.ended() == 0
    yield folder
    for act in (["abort", "--yes"], ["embedded", "stop"]):
        subprocess.run([sys.executable, "-m", "stepflow_tui", *act, "--state-dir", str(folder / "state")],
                       cwd=ROOT, capture_output=True, check=False)  # fmt: skip


def told(folder: Path, *command: str) -> dict[str, Any]:
    """What a command tells with --json."""
    done = subprocess.run(
        [sys.executable, "-m", "stepflow_tui", *command, "--json", "--state-dir", str(folder / "state")],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def state_of(folder: Path) -> dict[str, Any]:
    return told(folder, "status")


def at_the_menu(folder: Path, *args: str) -> Terminal:
    """Attached to the waiting run, its gate put off, its menu open."""
    terminal = plain(folder, *args)
    terminal.answer(1)
    if "--read-only" not in args:
        terminal.answer(1)
    terminal.until("What next")
    return terminal


def test_the_menu_of_a_run_shows_everything_and_acts(waiting: Path) -> None:
    with at_the_menu(waiting) as terminal:
        terminal.answer(14)
        terminal.until("Preflight checks: done")
        terminal.answer(5)
        terminal.until("target_identity")
        terminal.answer(6, 1)
        terminal.until("customer: 50 rows in the source")
        terminal.answer(1)
        terminal.until("No row of this table differs")
        terminal.answer("", 7, 2)
        terminal.until("# StepFlow report: shop")
        terminal.answer(7, 3)
        terminal.until("wrote .*-report.md")
        terminal.answer(8, "the till was open")
        terminal.until("Written")
        terminal.answer(4, 2)
        terminal.answer("told by mail")
        terminal.until("Ticked|A check decides")
        terminal.answer(9)
        terminal.until("(?i)steer")
        terminal.answer(1, 15)
        terminal.until("Plan of sqlite-to-postgres")
        terminal.answer("")
        terminal.answer(16, 3)
        terminal.until("gate before Copy")
        terminal.answer(17)
        terminal.until("library_versions")
        terminal.answer(3)
        terminal.until("no alerts")
        terminal.answer(25)
        terminal.until("stepflow abort")
        terminal.answer(MENU)
        assert terminal.ended() == 0
    assert b"\x1b" not in terminal.raw
    assert [n["text"] for n in told(waiting, "report")["notes"]] == ["the till was open"]
    ticked = {i["id"]: i["note"] for i in told(waiting, "status", "shop")["checklist"] if i["state"] == "ticked"}
    assert "told by mail" in ticked.values()


def test_what_is_no_answer_is_asked_again_in_one_line(waiting: Path) -> None:
    with at_the_menu(waiting) as terminal:
        for wrong in ("0", "99", "-1", "yes", "1e3", "٣٤", "9" * 4000, "\x07"):
            terminal.answer(wrong)
            assert "\n" not in terminal.until(".* is no number from 1 to .*").strip()
        terminal.answer("?")
        terminal.until("1  go on watching")
        terminal.answer(MENU)
        assert terminal.ended() == 0
    assert terminal.text.count("Traceback") == 0, terminal.text


def test_the_end_of_input_leaves_the_run_waiting_with_its_own_code(waiting: Path) -> None:
    with at_the_menu(waiting) as terminal:
        terminal.until(r": \Z")
        terminal.type("\x04")
        assert terminal.ended() == 6
        assert "stepflow continue" in terminal.text
    assert state_of(waiting)["state"] == "waiting"


def test_ctrl_c_opens_the_menu_first_and_leaves_then(waiting: Path) -> None:
    with at_the_menu(waiting) as terminal:
        terminal.answer(1)  # the gate was put off, so nothing is asked
        terminal.until("Watching")
        terminal.interrupt()
        terminal.until("What next")
        terminal.answer(1)
        terminal.until("Watching")
        terminal.type("\n")
        terminal.until("What next")
        terminal.until(r": \Z")
        terminal.interrupt()
        assert terminal.ended() == 130
        assert "it goes on" in terminal.text
    assert terminal.text.count("Traceback") == 0, terminal.text
    assert state_of(waiting)["state"] == "waiting"


def test_a_read_only_session_changes_nothing(waiting: Path) -> None:
    before = state_of(waiting)
    with at_the_menu(waiting, "--read-only") as terminal:
        terminal.answer(2)
        terminal.until("read-only")
        terminal.answer(8, "not me")
        terminal.until("read-only")
        terminal.answer(11, "shop")
        terminal.until("read-only")
        terminal.answer(13)
        terminal.until("The run waits at the gate")
        terminal.answer(MENU)
        assert terminal.ended() == 0
    after = state_of(waiting)
    assert (after["state"], after["checklist"]) == (before["state"], before["checklist"])


def test_typing_ahead_does_not_answer_a_gate(waiting: Path) -> None:
    with plain(waiting) as terminal:
        terminal.until(r": \Z")
        terminal.type("1\n2\n2\n2\n")
        terminal.until("The run waits before")
        terminal.answer(1, MENU)
        assert terminal.ended() == 0
    assert state_of(waiting)["state"] == "waiting"


def test_a_wrong_name_confirms_nothing(waiting: Path) -> None:
    with at_the_menu(waiting) as terminal:
        terminal.answer(11, "shopp")
        terminal.until("nothing was done")
        terminal.answer(10)
        terminal.until("How far|nothing to roll back")
        terminal.answer("")
        terminal.answer(MENU)
        assert terminal.ended() == 0
    assert state_of(waiting)["state"] == "waiting"


def test_answers_go_to_stderr_and_data_to_stdout(waiting: Path, tmp_path: Path) -> None:
    """With stdout in a file the wizard can't be drawn, but somebody is there to answer."""
    with Terminal("--state-dir", str(waiting / "state"), folder=waiting, stdout=tmp_path / "out") as terminal:
        terminal.answer(1, 1, 14, MENU)
        assert terminal.ended() == 0
    assert "Preflight checks: done" in (tmp_path / "out").read_text()
    assert "Preflight checks: done" not in terminal.text


@pytest.mark.parametrize("env", [{"ACCESSIBLE": "1"}, {"TERM": "dumb"}])
def test_the_environment_asks_for_questions_too(tmp_path: Path, env: dict[str, str]) -> None:
    with Terminal("--state-dir", str(tmp_path / "state"), folder=tmp_path, env=env) as terminal:
        terminal.until("StepFlow: what next")
        terminal.answer(5)
        assert terminal.ended() == 0
    assert b"\x1b" not in terminal.raw

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
from tests.run_kit import until

MENU = 12
"""Leaves the menu of a run."""
TO_THE_FILE = (1, "", 1, 1, 1, 1, 1, 1)
"""New migration, the kind that there is, the file found here, embedded, options, owners, saved as proposed."""
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
    assert "Traceback" not in terminal.text

"""`stepflow demo sqlite-wal`: eight writers and eight readers work on while their database is converted, and goes back."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

from tests.acceptance.harness import Ran, Stand


def _number(ran: Ran, line: str) -> int:
    told = next(text for text in ran.err.splitlines() if text.startswith(line))
    found = re.search(r"\d[\d,]*", told)
    assert found is not None
    return int(found[0].replace(",", ""))


def _lost_nothing(ran: Ran) -> None:
    assert _number(ran, "acknowledged writes:") > 0
    assert _number(ran, "acknowledged writes lost:") == 0
    for line in ("acknowledged writes:", "reads:"):
        told = next(text for text in ran.err.splitlines() if text.startswith(line))
        assert told.endswith(", 0 failed"), ran.err


def test_converted_while_sixteen_processes_use_it(stand: Stand) -> None:
    ran = stand.cli("demo", "sqlite-wal", "--rows", "2000", "--keep", "--json")
    assert ran.code == 0, ran.out + ran.err
    assert (ran.last["result"], ran.last["exit_code"]) == ("completed", 0)
    _lost_nothing(ran)
    assert "benchmark: WAL against rollback journal: " in ran.err
    (folder,) = (stand.state / "demo").iterdir()
    with sqlite3.connect(f"file:{folder / 'shop.db'}?mode=ro", uri=True) as kept:
        assert kept.execute("pragma journal_mode").fetchone() == ("wal",)
        assert kept.execute("pragma integrity_check").fetchone() == ("ok",)
    assert json.loads(Path(ran.last["report"]).read_text())["kind"] == "sqlite-wal"
    assert not (stand.state / "embedded").exists()


def test_back_again_and_tidied_up(stand: Stand) -> None:
    ran = stand.cli("demo", "sqlite-wal", "--rows", "2000", "--rollback")
    assert ran.code == 0, ran.out + ran.err
    assert "rolled_back (exit 0)" in ran.out
    _lost_nothing(ran)
    assert list((stand.state / "demo").iterdir()) == []


def test_what_there_is_no_demo_of(stand: Stand) -> None:
    for args, words in (
        (("files-to-database",), "sqlite-to-postgres and sqlite-wal"),
        (("sqlite-wal", "--restart"), "no database is switched"),
    ):
        ran = stand.cli("demo", *args)
        assert ran.code == 2
        assert words in ran.err
    assert not (stand.state / "demo").exists()

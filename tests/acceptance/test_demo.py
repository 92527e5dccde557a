"""`stepflow demo`: a whole live migration of a shop that is open all the while, over and back, by the real command line."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepflow_tui.engine.postgres.embedded import Embedded
from tests.acceptance.harness import Ran, Stand, wait_for

ROWS = "4000"


@pytest.fixture
def alone(stand: Stand) -> Iterator[Stand]:
    """A stand whose embedded server goes with it."""
    yield stand
    stand.cli("embedded", "stop")
    wait_for(Embedded(stand.state).remove())


def _numbers(ran: Ran, line: str) -> list[int]:
    told = next(text for text in ran.err.splitlines() if text.startswith(line))
    return [int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", told)]


def _reads_and_writes_everywhere(ran: Ran) -> None:
    total, old, new = _numbers(ran, "acknowledged writes:")
    assert (old > 0, new > 0, total) == (True, True, old + new), ran.err
    total, old, new, failed = _numbers(ran, "reads:")
    assert (old > 0, new > 0, total, failed) == (True, True, old + new, 0), ran.err
    assert _numbers(ran, "acknowledged writes lost:") == [0], ran.err


def test_over_and_tidied_up(alone: Stand) -> None:
    ran = alone.cli("demo", "--rows", ROWS, "--json")
    assert ran.code == 0, ran.out + ran.err
    assert (ran.last["event"], ran.last["result"], ran.last["exit_code"]) == ("run_finished", "completed", 0)
    assert {e["phase"] for e in ran.of("phase") if e["state"] == "done"} >= {"switch_reads", "cutover", "cleanup"}
    _reads_and_writes_everywhere(ran)
    assert list((alone.state / "demo").iterdir()) == []
    assert json.loads(Path(ran.last["report"]).read_text())["result"] == "completed"
    assert not wait_for(Embedded(alone.state).status()).running


def test_back_again_and_kept(alone: Stand) -> None:
    ran = alone.cli("demo", "--rows", ROWS, "--rollback", "--keep")
    assert ran.code == 0, ran.out + ran.err
    assert "the way back took" in ran.err
    assert "rolled_back (exit 0)" in ran.out
    _reads_and_writes_everywhere(ran)
    (folder,) = (alone.state / "demo").iterdir()
    figures = json.loads((folder / "shop.json").read_text())
    assert [move["to"] for move in figures["moves"]] == ["postgresql", "sqlite"]
    with sqlite3.connect(f"file:{folder / 'shop.db'}?mode=ro", uri=True) as kept:
        (orders,) = kept.execute("select count(*) from orders where note like 'demo shop %'").fetchone()
        left = kept.execute("select name from sqlite_schema where name like '\\_sf\\_%' escape '\\'").fetchall()
    assert (orders, left) == (figures["checks"][-1]["orders"], [])
    assert wait_for(Embedded(alone.state).status()).running, "kept with the databases in it"


def test_switched_by_restart_and_back(alone: Stand) -> None:
    """The shop as a web application: `.env` and a restart move it there and back, and somebody asks it every second."""
    ran = alone.cli("demo", "--restart", "--rollback", "--rows", "2000")
    assert ran.code == 0, ran.out + ran.err
    assert "the application runs on the new side and is well" in ran.out
    assert "the application runs as before" in ran.out
    seconds = re.search(r"the way back took (.*?) from the command", ran.err)
    assert seconds is not None
    assert "min" not in seconds[1] or seconds[1].startswith("1 min 0"), ran.err
    total, old, new = _numbers(ran, "acknowledged writes:")
    assert (old > 0, new > 0, total) == (True, True, old + new), ran.err
    assert _numbers(ran, "acknowledged writes lost:") == [0], ran.err
    assert "availability, asked once a second: unavailable" in ran.err
    (report,) = alone.state.glob("runs/*/report.json")
    measured = json.loads(report.read_text())["availability"]
    assert {"cutover", "rollback"} <= set(measured)
    assert list((alone.state / "demo").iterdir()) == []

"""What is said about a log, and what is advised: the same lines in `status` and in the panel."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow_tui.render.live import live_lines
from stepflow_tui.render.wal import MANY_FRAMES, advice, in_place_rows, lock_line, who
from tests.tui.wal_states import CALM, NOW_MS, ROLLBACK, STARVED

STATUS = {"kind": "sqlite-wal", "state": "observing", "engine": {"alive": True}, "phases": []}
SHORT = CALM | {"pinned_by": [{"pid": 7, "age_seconds": 3.0, "command": "app"}]}


def said(wal: dict[str, Any]) -> list[str]:
    return [row.text for row in in_place_rows(wal, NOW_MS)]


def test_status_says_what_the_panel_says() -> None:
    lines = list(live_lines({**STATUS, "wal": STARVED}))
    assert lines == [
        "WAL: journal mode wal, size 39.3 MiB, alert above 100.0 MiB",
        "WAL: 10,008 frames: 151 in the database file, 9,857 outstanding",
        "WAL: kept by process 4242 (python report.py) for 1 min 33 s",
        f"WAL: what to do: {advice(STARVED)}",
        "WAL: last checkpoint at 12:03:01, partial: 151 of 751 frames",
        "WAL: written: 1,921 frames/s, 1,746 transactions/s",
        f"WAL: {lock_line(STARVED)}",
    ]


def test_the_write_lock_is_told_with_its_holder() -> None:
    told = "write lock held in 28 % of the looks, in 2 in a row just now, last by process 5151 (python orders.py --port 8000)"
    assert lock_line(CALM) == told
    assert lock_line(CALM | {"busy_in_a_row": 0, "writer": None}) == "write lock held in 28 % of the looks"
    assert lock_line({"mode": "wal"}) == ""


@pytest.mark.parametrize("more", [{"state": "completed"}, {"engine": {"alive": False}}, {"wal": None}])
def test_status_says_nothing_that_is_not_of_now(more: dict[str, Any]) -> None:
    assert list(live_lines({**STATUS, "wal": STARVED, **more})) == []


@pytest.mark.parametrize(
    ("wal", "text"),
    [
        (CALM, "nothing"),
        (SHORT, "nothing yet"),
        (STARVED, "end this process's read transaction"),
        (SHORT | {"limits": {"bytes": 100, "starvation": 2.0}}, "end this process's read transaction"),
        (CALM | {"bytes": CALM["limits"]["bytes"] + 1}, "journal_size_limit"),
        (CALM | {"frames": MANY_FRAMES}, "wal_autocheckpoint"),
        (CALM | {"write_busy": 0.9}, "writers stand in line"),
        (ROLLBACK, ""),
        (ROLLBACK | {"users": [{"pid": 7, "command": "app", "what": "exclusive"}]}, "holds it alone"),
        (ROLLBACK | {"expected": True}, "journal_mode"),
        (CALM | {"mode": "missing"}, ""),
    ],
)
def test_the_advice_is_about_what_is_wrong(wal: dict[str, Any], text: str) -> None:
    assert (text in advice(wal)) if text else advice(wal) == ""
    assert "kill" not in advice(wal)


@pytest.mark.parametrize(
    ("wal", "text"),
    [
        (CALM | {"frames": 0}, "no frames: everything is in the database file"),
        (
            CALM | {"frames": None},
            "its index can't be read: nobody has the database open, or one process holds it alone",
        ),
        (CALM | {"pinned_by": None}, "who keeps it from being emptied can't be seen on this system"),
        (CALM | {"rate": 0.04, "transactions": None}, "written: 0.0 frames/s"),
        (ROLLBACK | {"users": None}, "who uses it can't be seen on this system"),
        (ROLLBACK | {"users": []}, "nobody has it open"),
        (CALM | {"mode": "unknown"}, "journal mode unknown: nobody has looked just now"),
        (CALM, "last checkpoint at 12:04:27, complete: 1,003 frames, 4.0 s ago"),
    ],
)
def test_what_is_not_known_is_said_so(wal: dict[str, Any], text: str) -> None:
    assert text in said(wal)


def test_a_gauge_of_another_version_is_shown_as_far_as_it_goes() -> None:
    assert said({"mode": "wal"})[0] == "journal mode wal, size ?"
    assert said({}) == ["journal mode ?"]
    assert "written" not in " ".join(said({"mode": "rollback"}))


@pytest.mark.parametrize(
    ("process", "text"),
    [
        ({"pid": 4, "command": "/usr/bin/python3 /srv/app.py"}, "process 4 (python3 /srv/app.py)"),
        ({"pid": 4, "command": "?"}, "process 4"),
        ({"pid": 4, "command": None}, "process 4"),
        ({"pid": 4, "command": "/"}, "process 4 (/)"),
        ({"pid": 0, "command": None}, "a process outside this container"),
        ({"pid": -1, "command": None}, "a process that the system doesn't name"),
    ],
)
def test_processes_are_named_as_well_as_they_can_be(process: dict[str, Any], text: str) -> None:
    assert who(process) == text

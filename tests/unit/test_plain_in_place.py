"""The plain menu of a database that stays where it is: setting it up by numbers, and the two ways back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.cli.plain import live, setup, steer
from stepflow_tui.cli.plain.desk import Next, Place
from stepflow_tui.engine.config import load_config
from tests.tui.wal_states import in_place
from tests.unit.test_plain import Person, choose
from tests.unit.test_plain_live import in_state, person, place

__all__ = ("person", "place")


def sent(place: Place) -> list[tuple[str, Mapping[str, Any]]]:
    engine: Any = place.desk.engine
    return [(verb, args) for verb, args, _take in engine.sent]


def test_a_conversion_is_set_up_without_a_target(
    place: Place, person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(tmp_path / "app.db") as db:
        db.execute("create table t(x)")
    db.close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(setup, "ask_application", lambda _desk, draft: draft)
    monkeypatch.setattr(setup, "open_config", lambda _desk, _path: Next.HOME)
    options = [name for name in setup.OPTIONS if name not in setup.MOVING]
    pick = options.index("page_size") + 2
    # kind, file, is it the one, page size and its value, take the options, owners open, save
    choose(person, 1, 1, 1, pick, "8192", 1, 1, 1)
    assert setup.new_migration(place.desk) is Next.HOME
    config = load_config(tmp_path / "stepflow.yaml", {}).config
    assert (config.kind, config.mode, config.wal.page_size) == ("sqlite-wal", "in-place", 8192)
    told = capsys.readouterr()
    assert "Its journal mode becomes wal" in told.err + told.out
    assert "PostgreSQL can't hold" not in told.err + told.out


@pytest.mark.parametrize(
    ("lines", "more"),
    [((1, "slower"), {}), ((2, "wrong data", "shop"), {"restore": True})],
)
def test_both_ways_back(
    place: Place, person: Person, monkeypatch: pytest.MonkeyPatch, lines: tuple[object, ...], more: dict[str, Any]
) -> None:
    in_state(monkeypatch, in_place().status)
    choose(person, *lines)
    assert steer.roll_back(place) is Next.WATCH
    assert sent(place) == [("rollback", {"to": None, "reason": lines[1], "yes": True, "confirm": "shop", **more})]


@pytest.mark.parametrize("lines", [("",), (3,), (2, "wrong data", "shopp"), (1, "", "")])
def test_taking_it_back_sends_nothing(
    place: Place, person: Person, monkeypatch: pytest.MonkeyPatch, lines: tuple[object, ...]
) -> None:
    in_state(monkeypatch, in_place().status)
    choose(person, *lines)
    assert steer.roll_back(place) is Next.MENU
    assert sent(place) == []


def test_without_a_backup_there_is_one_way(place: Place, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    in_state(monkeypatch, in_place("backup").status)
    choose(person, 2)
    assert steer.roll_back(place) is Next.MENU
    assert sent(place) == []


def test_nothing_is_switched(
    place: Place, person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_state(monkeypatch, in_place().status)
    assert live.cut_over(place) is Next.MENU
    assert "Nothing is switched here" in capsys.readouterr().err
    choose(person, 3)  # neither way: what brings reads back elsewhere asks here which way to go back
    assert live.reads_back(place) is Next.MENU
    assert "Which way?" in capsys.readouterr().err
    assert sent(place) == []

"""The plain menu's entries for live runs: what they say, ask and send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.cli.plain import ask, live
from stepflow_tui.cli.plain.desk import Desk, Next, Place
from stepflow_tui.cli.session import Globals, Session
from stepflow_tui.engine import api
from stepflow_tui.engine.texts import language
from tests.golden.fixed import make
from tests.tui.live_states import at_cutover, differing, moved_back, observing, soaking, switching
from tests.tui.run_states import running
from tests.unit.test_plain import Engine, Person, choose

States = Callable[..., Any]


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    found = Person()
    monkeypatch.setattr("stepflow_tui.cli.plain.ask.read", found)
    monkeypatch.setattr("stepflow_tui.cli.plain.ask.forget_typed", lambda: None)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A run that is shown in whatever state a test gives it."""
    language.use("en")
    engine: Any = Engine()
    session = Session(globals=Globals(state_dir=tmp_path / "state", plain=True))
    desk = Desk(session=session, engine=engine, folder=tmp_path, env={})
    asyncio.run(make(desk.state))
    info = api.resolve_run(desk.state, "shop")
    return Place(desk=desk, info=info, reader=api.RunReader(info.path))


def in_state(monkeypatch: pytest.MonkeyPatch, status: Mapping[str, Any]) -> None:
    monkeypatch.setattr(Place, "status", dict(status))


def sent(place: Place) -> list[tuple[str, Any]]:
    engine: Any = place.desk.engine
    return [(verb, args) for verb, args, _take in engine.sent]


CASES: tuple[tuple[Any, States, tuple[object, ...], list[tuple[str, Any]]], ...] = (
    (live.switch, switching, (50, 2), [("switch", {"share": 5_000, "confirm": None})]),
    (live.switch, switching, (50, 1), []),
    (live.switch, switching, (100, "shop"), [("switch", {"share": 10_000, "confirm": "shop"})]),
    (live.switch, switching, (100, "shopp"), []),
    (live.switch, switching, ("many", "101", 5), [("switch", {"share": 500, "confirm": None})]),
    (live.switch, switching, ("",), []),
    (live.switch, soaking, (50, "shop"), [("switch", {"share": 5_000, "confirm": "shop"})]),
    (live.switch, differing, (50,), []),
    (live.switch, moved_back, (2,), [("switch_rearm", {})]),
    (live.switch, moved_back, (1,), []),
    (live.switch, running, (), []),
    (live.reads_back, switching, (2,), [("switch_back", {})]),
    (live.reads_back, switching, ("",), []),
    (live.reads_back, running, (), []),
    (live.cut_over, at_cutover, (1,), []),
    (live.cut_over, at_cutover, (2,), [("rehearse", {})]),
    (live.cut_over, at_cutover, (3, "shop"), [("continue", {"phase": "cutover", "yes": False, "confirm": "shop"})]),
    (live.cut_over, at_cutover, (3, "SHOP"), []),
    (live.cut_over, running, (), []),
    (live.clean_up, observing, ("shop",), [("cleanup", {"yes": False, "confirm": "shop"})]),
    (live.clean_up, observing, ("",), []),
    (live.clean_up, switching, (), []),
)


@pytest.mark.parametrize(("entry", "state", "lines", "intents"), CASES)
def test_each_entry_sends_what_was_answered_and_nothing_else(
    place: Place,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    entry: Any,
    state: States,
    lines: tuple[object, ...],
    intents: list[Any],
) -> None:
    in_state(monkeypatch, state().status)
    choose(person, *lines)
    assert entry(place) in (Next.MENU, Next.WATCH)
    assert sent(place) == intents
    assert person.lines == []


def test_what_stands_against_a_move_is_said_first(
    place: Place, person: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_state(monkeypatch, differing().status)
    choose(person, 50)
    live.switch(place)
    told = capsys.readouterr().err
    assert "stands in the way: rows differ: 3" in told
    assert "No more reads can move now: rows differ: 3." in told


@pytest.mark.parametrize("entry", [live.switch, live.reads_back, live.cut_over, live.clean_up])
def test_the_end_of_input_sends_nothing(
    place: Place, person: Person, monkeypatch: pytest.MonkeyPatch, entry: Any
) -> None:
    in_state(monkeypatch, (observing if entry is live.clean_up else switching)().status)
    with pytest.raises(ask.EndOfInput):
        entry(place)
    assert sent(place) == []

"""Questions on a terminal: gates, typed confirmations, missing values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli_kit import CONFIG, STATUS, FakeEngine, FakeReader, finished, row, started

Cli = Callable[..., int]

QUESTIONS: list[dict[str, Any]] = [
    {"kind": "warning", "id": "fk|orders", "params": {"code": "fk_violations", "object": "orders"}},
    {"kind": "item", "id": "teams-told", "params": {}},
    {"kind": "object", "id": "view|v", "params": {"type": "view", "name": "v", "reason": "no"}},
    {"kind": "typed", "id": "cutover.move", "params": {"step": "move", "loses": "new rows"}},
]


class Person:
    """Answers questions in order, and remembers them."""

    def __init__(self, *answers: str) -> None:
        self._answers: Iterator[str] = iter(answers)
        self.asked: list[str] = []

    def __call__(self, prompt: str) -> str:
        self.asked.append(prompt)
        return next(self._answers)


@pytest.fixture
def at_terminal(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine, tmp_path: Path) -> Callable[..., Person]:
    (tmp_path / "stepflow.yaml").write_text(CONFIG)
    monkeypatch.setattr("stepflow_tui.cli.diagnostics.interactive", lambda session: not session.globals.no_input)

    def answers(*given: str) -> Person:
        person = Person(*given)
        monkeypatch.setattr("stepflow_tui.cli.diagnostics.ask", person)
        return person

    return answers


def gate(*questions: dict[str, Any]) -> dict[str, Any]:
    return row(2, "gate", phase="backfill", state="open", questions=list(questions))


def test_a_run_asks_and_goes_on(cli: Cli, engine: FakeEngine, at_terminal: Callable[..., Person]) -> None:
    person = at_terminal("told by mail", "shop", "y")
    passed = row(3, "gate", phase="backfill", state="passed", questions=[])
    engine.reader = FakeReader(script=[(True, [started(), gate(*QUESTIONS)]), (True, [passed]), (True, [finished(4)])])
    assert cli("run") == 0
    assert len(person.asked) == 3
    assert engine.calls[0][1]["interactive"] is True
    assert engine.calls[1:] == [
        ("tick", {"item": "teams-told", "note": "told by mail"}),
        ("continue", {"phase": "backfill", "yes": False, "confirm": "shop"}),
    ]


@pytest.mark.parametrize("answers", [("",), ("told", "shpo"), ("told", "shop", "n")])
def test_a_no_leaves_the_gate_closed(
    answers: tuple[str, ...], cli: Cli, engine: FakeEngine, at_terminal: Callable[..., Person]
) -> None:
    at_terminal(*answers)
    engine.reader.state = {
        **STATUS,
        "state": "waiting",
        "gate": {"phase": "backfill", "state": "open", "questions": QUESTIONS},
    }
    assert cli("continue") == 6
    assert "continue" not in [name for name, _ in engine.calls]


def test_continue_asks_what_the_gate_asks(cli: Cli, engine: FakeEngine, at_terminal: Callable[..., Person]) -> None:
    at_terminal("y")
    engine.reader.state = {
        **STATUS,
        "state": "waiting",
        "gate": {"phase": "backfill", "state": "open", "questions": QUESTIONS[:1]},
    }
    assert cli("continue") == 0
    assert engine.calls[-1] == ("continue", {"phase": "backfill", "yes": False, "confirm": None})
    assert cli("continue", "--no-input") == 6


def test_abort_wants_the_name_typed(cli: Cli, engine: FakeEngine, at_terminal: Callable[..., Person]) -> None:
    engine.reader = FakeReader(rows=[started(), finished(2, "aborted", 130)], state=STATUS)
    at_terminal("yes")
    assert cli("abort") == 6
    at_terminal("shop")
    assert cli("abort") == 0
    assert engine.calls[-1] == ("abort", {"yes": False, "confirm": "shop"})


def test_init_asks_for_what_is_missing(
    cli: Cli, at_terminal: Callable[..., Person], tmp_path: Path, engine: FakeEngine
) -> None:
    (tmp_path / "stepflow.yaml").unlink()
    person = at_terminal("sqlite-to-postgres", "shop.db")
    assert cli("init") == 0
    assert len(person.asked) == 2
    at_terminal("")
    assert cli("init", "-o", "other.yaml") == 2

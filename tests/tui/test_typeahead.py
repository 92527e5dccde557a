"""Typing ahead never answers a question: bursts, stacked dialogs, late answers of the terminal, terminals without answers."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any, ClassVar

import pytest
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.pilot import Pilot
from textual.widgets import Input

from screens import typeahead
from screens.modals.confirm import ConfirmPlain, ConfirmTyped
from screens.modals.note import NoteDialog
from screens.typeahead import TypeAheadGuard

LATER = 3600.0
SECONDS = 20.0


class Desk(TypeAheadGuard):
    """An app with dangerous keys. It has a terminal that answers when the test says so."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("u", "ask", "Ask"),
        ("t", "type", "Type"),
        ("x", "reach", "Reach"),
        ("right", "reach", "Reach"),
    ]
    AUTO_FOCUS = None
    is_headless = False

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Any] = []
        self.reached = 0

    def compose(self) -> ComposeResult:
        """Something that could take keys by itself."""
        yield Input()

    def action_ask(self) -> None:
        """A plain question."""
        self.push_screen(ConfirmPlain("Sure?", ["It can't be undone."], "Yes"), self.answers.append)

    def action_type(self) -> None:
        """One that wants a name."""
        self.push_screen(ConfirmTyped("Sure?", ["It can't be undone."], "shop"), self.answers.append)

    def action_reach(self) -> None:
        """A key reached the screen below."""
        self.reached += 1

    def burst(self, *keys: str, ahead: float = 0.0) -> None:
        """Keys that arrive in one packet, `ahead` seconds from now."""
        for key in keys:
            event = events.Key(key, key if len(key) == 1 else None)
            event.time = monotonic() + ahead
            self.post_message(event)

    def click(self, selector: str) -> None:
        """What a terminal sends when the mouse is clicked there."""
        x, y = (int(n) for n in self.screen.query_one(selector).region.center)
        for kind in (events.MouseDown, events.MouseUp):
            self.post_message(kind(None, x, y, 0, 0, 1, False, False, False, x, y))

    def terminal_answers(self) -> None:
        """The cursor report for the oldest question."""
        self.post_message(events.CursorPosition(1, 1))


async def done(pilot: Pilot[Any]) -> None:
    """Everything that is under way has happened."""
    for _ in range(4):
        await pilot.pause()


async def until(pilot: Pilot[Any], seen: Callable[[], bool]) -> None:
    """Wait for what a timer does."""
    deadline = monotonic() + SECONDS
    while not seen():
        assert monotonic() < deadline
        await pilot.pause(0.01)


@pytest.mark.parametrize("keys", [("u", "x", "right", "enter"), ("u", "tab", "enter"), ("t", *"shop", "enter")])
async def test_a_burst_answers_nothing_and_reaches_nothing(keys: tuple[str, ...]) -> None:
    app = Desk()
    async with app.run_test() as pilot:
        await done(pilot)
        app.burst(*keys)
        await done(pilot)
        assert isinstance(app.screen, ConfirmPlain | ConfirmTyped)
        assert app.answers == []
        assert app.reached == 0
        assert all(not field.value for field in app.screen.query(Input))


async def test_keys_count_once_the_terminal_has_drawn_the_dialog() -> None:
    app = Desk()
    async with app.run_test() as pilot:
        await done(pilot)
        app.terminal_answers()  # to the question at the start
        app.burst("u")
        await done(pilot)
        app.terminal_answers()
        await done(pilot)
        app.burst("right", "enter")  # too soon to have read it
        await done(pilot)
        assert app.answers == []
        app.burst("right", "enter", ahead=1)
        await done(pilot)
        assert app.answers == [True]
        app.burst("x")
        await done(pilot)
        assert app.reached == 1


async def test_a_late_answer_does_not_arm_a_newer_dialog() -> None:
    app = Desk()
    async with app.run_test() as pilot:
        await done(pilot)
        app.burst("u")
        await done(pilot)
        app.screen.dismiss(None)  # closed by the program; two questions are unanswered now
        await done(pilot)
        app.burst("t")
        await done(pilot)
        app.terminal_answers()
        app.terminal_answers()
        await done(pilot)
        app.burst(*"shop", "enter", ahead=LATER)
        await done(pilot)
        assert app.answers == [None]
        app.terminal_answers()
        await done(pilot)
        app.burst(*"shop", "enter", ahead=LATER)
        await done(pilot)
        assert app.answers == [None, "shop"]


async def test_a_dialog_that_is_uncovered_is_deaf_again_until_it_is_drawn() -> None:
    app = Desk()
    async with app.run_test() as pilot:
        await done(pilot)
        app.terminal_answers()
        app.burst("u")
        await done(pilot)
        app.terminal_answers()
        await done(pilot)
        app.push_screen(NoteDialog())
        await done(pilot)
        app.terminal_answers()
        await done(pilot)
        app.burst("escape", "right", "enter", ahead=1)
        await done(pilot)
        assert isinstance(app.screen, ConfirmPlain)
        assert app.answers == []
        app.terminal_answers()
        await done(pilot)
        app.burst("right", "enter", ahead=LATER)
        await done(pilot)
        assert app.answers == [True]


async def test_a_dialog_pushed_by_the_program_is_deaf_before_it_is_mounted() -> None:
    app = Desk()
    async with app.run_test() as pilot:
        await done(pilot)
        app.push_screen(ConfirmPlain("Sure?", [], "Yes"), app.answers.append)
        assert app.deaf_until > monotonic() + LATER
        await done(pilot)
        assert app.deaf_until > monotonic() + LATER


async def test_a_terminal_that_never_answered_is_believed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeahead, "ANSWER_SECONDS", 0.05)
    app = Desk()
    async with app.run_test() as pilot:
        await done(pilot)
        app.burst("u")
        await done(pilot)
        await until(pilot, lambda: app.deaf_until < inf)
        app.burst("right", "enter", ahead=1)
        await done(pilot)
        assert app.answers == [True]


async def test_a_terminal_that_answered_before_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stalled: what is typed now would arrive before the dialog is seen."""
    monkeypatch.setattr(typeahead, "ANSWER_SECONDS", 0.02)
    monkeypatch.setattr(typeahead, "MOST_TRIES", 3)
    app = Desk()
    async with app.run_test() as pilot:
        await done(pilot)
        app.terminal_answers()
        app.burst("u")
        await done(pilot)
        await until(pilot, lambda: app.deaf_until < inf)
        assert len(app._asked) == 3
        app.burst("right", "enter", ahead=1)
        await done(pilot)
        assert app.answers == [True]


async def test_clicks_are_dropped_like_keys() -> None:
    app = Desk()
    async with app.run_test(size=(80, 24)) as pilot:
        await done(pilot)
        app.burst("u")
        await done(pilot)
        app.click("#yes")
        await done(pilot)
        assert app.answers == []
        app.deaf_until = 0.0
        app.click("#yes")
        await done(pilot)
        assert app.answers == [True]


async def test_typed_text_arrives_in_order() -> None:
    app = Desk()
    async with app.run_test() as pilot:
        field = app.query_one(Input)
        field.focus()
        await done(pilot)
        text = "the quick brown fox jumps over it"
        for char in text:
            event = events.Key("space" if char == " " else char, char)
            app.post_message(event)
        await until(pilot, lambda: field.value == text)


async def test_a_key_whose_widget_vanishes_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeahead, "DONE_SECONDS", 0.05)

    class Vanishing(Desk):
        BINDINGS: ClassVar[list[BindingType]] = [("v", "vanish", "Vanish")]

        async def action_vanish(self) -> None:
            await self.query_one(Input).remove()

    app = Vanishing()
    async with app.run_test() as pilot:
        await done(pilot)
        app.burst("v", "x")
        await until(pilot, lambda: app.reached == 1)

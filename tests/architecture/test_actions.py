"""One table drives keys, footer, help, palette, `stepflow keys`, the plain menus and the commands."""

from __future__ import annotations

import importlib
from collections import Counter
from functools import cache
from typing import Any

import pytest

from screens.bindings import OF_THE_APP, bindings
from stepflow_tui.actions import ACTIONS, BY_ID, Action, Scope, actions_of
from stepflow_tui.app import StepFlowApp
from stepflow_tui.cli.commands import COMMANDS
from stepflow_tui.cli.plain.menu import MAIN_MENU
from stepflow_tui.cli.plain.run_menu import RUN_MENU
from stepflow_tui.engine.model.config import NAME_PATTERN

SCREENS = {
    Scope.PICKER: "screens.picker:PickerScreen",
    Scope.SETUP: "screens.setup.screen:SetupScreen",
    Scope.CONFIG: "screens.config:ConfigScreen",
    Scope.PLAN: "screens.plan:PlanScreen",
    Scope.RUN: "screens.run:RunScreen",
    Scope.JOURNAL: "screens.journal:JournalScreen",
    Scope.REPORT: "screens.report:ReportScreen",
}
OVERRIDDEN = {"escape": {Scope.SETUP}}
"""Keys of the app that a screen uses for its own: there they go back a page first."""

ELSEWHERE = {
    "start": "the menu of a config: start the run",
    "change": "abort, then the menu of the config",
    "page-next": "each answer leads to the next question",
    "recheck": "menu of a run, and of a config",
    "continue": "menu of a run, and at the gate itself",
}
"""Actions whose plain form is no single entry of the run's or the first menu, or not that alone."""
LAYOUT = frozenset(
    {"freeze", "next", "previous", "wrap", "zoom", "slower", "faster", "command-palette", "close", "page-back",
     "section-next", "section-previous"}
)  # fmt: skip
"""Actions about how a screen is drawn."""


@cache
def screen(scope: Scope) -> type[Any]:
    module, _colon, name = SCREENS[scope].partition(":")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def of(scope: Scope) -> list[Action]:
    return [a for a in ACTIONS if scope in a.scopes]


def test_ids_are_unique_and_fit_a_config() -> None:
    import re

    assert not [name for name, times in Counter(a.id for a in ACTIONS).items() if times > 1]
    assert all(re.fullmatch(NAME_PATTERN, a.id) for a in ACTIONS)
    assert set(BY_ID) == {a.id for a in ACTIONS}


@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_means_one_thing_on_a_screen(scope: Scope) -> None:
    own = Counter(key for action in of(scope) for key in action.keys)
    assert not [key for key, times in own.items() if times > 1]
    if scope is not Scope.APP:
        everywhere = {key for action in of(Scope.APP) for key in action.keys}
        assert {key for key in own if key in everywhere} == {k for k, where in OVERRIDDEN.items() if scope in where}


@pytest.mark.parametrize("scope", list(SCREENS))
def test_a_screen_binds_exactly_its_actions(scope: Scope) -> None:
    bound = {b.id for b in screen(scope).BINDINGS if getattr(b, "id", None)}
    assert bound == {a.id for a in of(scope)}


@pytest.mark.parametrize("scope", [*SCREENS, Scope.APP])
def test_every_action_is_carried_out_where_it_works(scope: Scope) -> None:
    missing = [
        a.id
        for a in of(scope)
        if not hasattr(StepFlowApp if scope is Scope.APP or a.id in OF_THE_APP else screen(scope), f"action_{a.method}")
    ]
    assert missing == []


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.id)
def test_every_action_is_a_command_or_says_why_not(action: Action) -> None:
    assert bool(action.cli) is not bool(action.only), "one of the two"
    assert not action.cli or action.cli in COMMANDS
    assert action.keys
    assert action.label
    assert action.help.endswith(".")


@pytest.mark.parametrize("scope", list(SCREENS))
def test_footer_and_help_together_show_all(scope: Scope) -> None:
    shown = {b.id for b in bindings(scope) if b.show}
    assert shown <= {a.id for a in actions_of(scope)}
    assert {a.id for a in actions_of(scope)} == {a.id for a in of(scope)} | {a.id for a in of(Scope.APP)}
    assert shown, "a screen whose footer shows nothing tells nobody how to go on"


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.id)
def test_every_action_that_acts_or_shows_data_has_a_number_in_the_plain_menus(action: Action) -> None:
    numbered = {name for entry in RUN_MENU for name in entry.actions} | {start.action for start in MAIN_MENU}
    if action.id in LAYOUT:
        assert action.only
        assert action.id not in numbered
    else:
        assert action.id in numbered | set(ELSEWHERE)


def test_the_plain_menus_name_actions_that_exist() -> None:
    named = {name for entry in RUN_MENU for name in entry.actions} | {start.action for start in MAIN_MENU}
    assert named | set(ELSEWHERE) | LAYOUT == set(BY_ID)

"""Where hooks stand among the steps, what they are called, and what becomes of a command's output."""

from __future__ import annotations

import pytest

from stepflow_tui.engine.application.commands import Ran, printable, tail
from stepflow_tui.engine.checks.config_unused import LACKING, unused
from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.state import PhaseName
from stepflow_tui.engine.playbooks import playbook_for
from stepflow_tui.engine.playbooks.hooks import with_hooks
from stepflow_tui.engine.playbooks.spec import planned_phases
from stepflow_tui.engine.testing import FakeStep
from stepflow_tui.engine.texts import language
from stepflow_tui.engine.texts.running import step_title
from tests.run_kit import book

BASE = {"name": "shop", "kind": "sqlite-to-postgres", "source": {"path": "/data/shop.db"}}
TWO = {"before": [{"run": "a"}, {"run": "b"}], "after": [{"run": "c"}]}


def config(**hooks: object) -> Config:
    return Config.model_validate({**BASE, "hooks": hooks})


def test_hooks_are_the_first_and_the_last_steps_of_their_phase() -> None:
    plain = book(("prepare", (FakeStep(name="one"),)), ("backfill", (FakeStep(name="two"),)), ("complete", ()))
    phases = with_hooks(plain.phases, config(backfill=TWO, complete={"after": [{"run": "d"}]}, capture=TWO))
    assert [[s.name for s in p.steps] for p in phases] == [
        ["one"],
        ["hook-before-1", "hook-before-2", "two", "hook-after-1"],
        ["hook-after-1"],
    ]
    assert [p.changes for p in phases] == [p.changes for p in plain.phases]
    assert with_hooks(plain.phases, config()) == plain.phases


def test_the_playbook_and_its_plan_have_them() -> None:
    playbook = playbook_for(config(prepare=TWO, validate={"after": [{"run": "psql --password=geheim"}]}))
    planned = planned_phases(playbook)
    assert [s.name for s in planned[0].steps][:2] == ["hook-before-1", "hook-before-2"]
    assert planned[2].steps[-1].name == "hook-after-1"
    assert "geheim" not in repr(playbook)


def test_titles_count_and_are_found_in_other_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert step_title("hook-before-2") == "Hook 2 before the phase"
    assert step_title("hook-after-11") == "Hook 11 after the phase"
    assert language.known(step_title("hook-after-11")) == "Hook 11 after the phase"


@pytest.mark.parametrize("mode", list(Mode))
def test_hooks_that_the_mode_never_comes_to_are_named(mode: Mode) -> None:
    kind = "sqlite-wal" if mode is Mode.IN_PLACE else BASE["kind"]
    every = Config.model_validate({**BASE, "kind": kind, "mode": mode, "hooks": {p.value: TWO for p in PhaseName}})
    assert set(unused(every)) == {f"hooks.{p.value}" for p in LACKING[mode]}


def test_what_a_mode_lacks_is_what_its_playbook_lacks() -> None:
    names = set(playbook_for(config()).names)
    assert {p for p in PhaseName if p.value not in names} == LACKING[Mode.COPY]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\tb\r\nc\rd", "a b\nc\nd"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x\x1b]52;c;aGk=\x1b\\y", "xy"),
        ("\x1bPq#0\x1b\\z\x00\x08\x9b1m", "z1m"),
        ("\u202eevil\u2066", "evil"),
        ("日本 ü", "日本 ü"),
    ],
)
def test_output_can_not_drive_a_terminal(raw: str, shown: str) -> None:
    assert printable(raw) == shown


def test_a_tail_begins_with_a_line() -> None:
    assert tail("one\ntwo\nthree", 8) == "three"
    assert tail("one\ntwo\nthree", 100) == "one\ntwo\nthree"
    assert tail("x" * 9, 4) == "xxxx"


@pytest.mark.parametrize(
    ("status", "ending"), [(3, "exit status 3"), (-9, "ended by signal 9"), (None, "not finished after 2 s, ended")]
)
def test_endings(status: int | None, ending: str) -> None:
    ran = Ran(status=status, seconds=2.0, output="", cut=False)
    assert ran.ending == ending
    assert not ran.ok

"""Phases and steps that mean something else in one kind or mode of migration have a title of their own there, everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow_tui.cli.views import Running
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.plan.risks import (
    CRITERIA,
    IN_PLACE_CRITERIA,
    IN_PLACE_ITEM,
    IN_PLACE_RISKS,
    RISKS,
    RiskState,
    acceptance,
    risks,
)
from stepflow_tui.engine.playbooks import playbook_for
from stepflow_tui.engine.texts import risks as texts
from stepflow_tui.engine.texts.running import OWN_PHASES, OWN_STEPS, PHASES, STEPS, step_title
from stepflow_tui.render import in_place, words
from stepflow_tui.render.events import event_lines
from stepflow_tui.render.live import is_in_place, is_live, is_offline, phase_title


def status(kind: str, *phases: str) -> dict[str, Any]:
    return {"kind": kind, "phases": [{"name": name, "state": "done", "steps": []} for name in phases]}


IN_PLACE = status("sqlite-wal", "prepare", "validate", "cutover", "observe", "complete")
OFFLINE = status(
    "sqlite-to-postgres", "prepare", "capture", "backfill", "validate", "cutover", "observe", "cleanup", "complete"
)
LIVE = status(
    "sqlite-to-postgres", "prepare", "capture", "backfill", "validate", "switch_reads", "cutover", "observe", "complete"
)
COPY = status("sqlite-to-postgres", "prepare", "backfill", "validate", "complete")


@pytest.mark.parametrize(
    ("run", "phase", "title"),
    [
        (IN_PLACE, "cutover", "Convert to WAL"), (IN_PLACE, "validate", "Try on a copy"), (IN_PLACE, "observe", "Watch"),
        (IN_PLACE, "prepare", "Prepare"), (OFFLINE, "capture", "Stop and lock"), (OFFLINE, "cutover", "Cut over"),
        (LIVE, "capture", "Capture changes"), (COPY, "validate", "Verify"), (COPY, "no_such", "no such"),
    ],
)  # fmt: skip
def test_a_phase_is_called_what_it_does_there(run: dict[str, Any], phase: str, title: str) -> None:
    assert phase_title(run, phase) == title


def test_which_sort_of_run_it_is() -> None:
    asked = [(is_in_place(run), is_offline(run), is_live(run)) for run in (IN_PLACE, OFFLINE, LIVE, COPY)]
    assert asked == [(True, False, False), (False, True, False), (False, False, True), (False, False, False)]


def test_own_titles_are_of_phases_and_steps_that_exist() -> None:
    for own, known in ((OWN_PHASES, PHASES), (OWN_STEPS, STEPS)):
        assert all(set(table) <= set(known) for table in own.values())
    assert step_title("rehearse") != step_title("rehearse", "sqlite-wal")
    assert step_title("hook-before-1", "sqlite-wal") == "Hook 1 before the phase"


@pytest.mark.parametrize("more", [{}, {"mode": "offline"}, {"wal": {"page_size": 8192}}])
def test_every_step_of_a_conversion_has_a_title(more: dict[str, Any]) -> None:
    config = Config.model_validate({"name": "s", "kind": "sqlite-wal", "source": {"path": "/x.db"}, **more})
    for phase in playbook_for(config).phases:
        assert phase.name in PHASES
        for step in phase.steps:
            assert step.name in STEPS or step.name in OWN_STEPS["sqlite-wal"], step.name


def test_lines_of_a_run_use_the_kind_s_words() -> None:
    running = Running()
    running.note({"event": "run_started", "kind": "sqlite-wal"})
    phase = {"event": "phase", "phase": "cutover", "state": "running"}
    step = {"event": "step", "step": "rehearse", "state": "running"}
    assert list(event_lines(phase, running.kind)) == ["== Convert to WAL"]
    assert list(event_lines(step, running.kind)) == ["   Convert a copy, and back: running"]
    assert list(event_lines(phase)) == ["== Cut over"]
    assert words.phase("validate", "sqlite-wal", "in-place") == "Try on a copy"


def test_the_register_of_a_conversion_speaks_of_its_own_risks() -> None:
    items = [{"id": IN_PLACE_ITEM, "state": "ticked"}, {"id": "other-readers", "state": "failed"}]
    found = {risk.id: risk.state for risk in risks(items, ())}
    assert found["wal-copied"] is RiskState.FAILED
    assert not {"incomplete-migration", "crash", "users-struggle"} & set(found)
    assert {c.id: c.state for c in acceptance(items)}["wal-active"] is RiskState.PROVED
    assert {risk.id for risk in risks([], ())} == {spec.id for spec in RISKS}
    for spec in (*RISKS, *IN_PLACE_RISKS):
        assert spec.id in texts.RISKS
        assert spec.id in texts.MITIGATIONS
    assert {spec.id for spec in (*CRITERIA, *IN_PLACE_CRITERIA)} == set(texts.ACCEPTANCE)


def test_what_a_conversion_has_changed_so_far() -> None:
    def at(**states: str) -> dict[str, Any]:
        steps = [{"name": name, "state": state} for name, state in states.items()]
        return {"kind": "sqlite-wal", "phases": [{"name": "cutover", "state": "running", "steps": steps}]}

    assert not in_place.changed(at(convert="pending", rehearse="done"))
    assert in_place.changed(at(convert="done"))
    assert not in_place.changed(at(convert="undone"))
    assert in_place.backup_made(at(backup="done"))
    assert not in_place.backup_made(at(backup="running"))
    assert in_place.backup_time({"rollback": {"backup_at": "no time"}}) == ""
    told = {"rollback": {"backup_at": "2026-11-22T20:33:58Z"}, "checklist": [{"id": "backup-database", "at": "later"}]}
    assert in_place.backup_time(told).endswith(":33")

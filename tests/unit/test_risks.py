"""The risk register: green only when proved, red when a check or a blocking finding says no, yellow otherwise."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.engine.model.finding import blocking, warning
from stepflow_tui.engine.model.state import ItemState
from stepflow_tui.engine.plan.risks import (
    CRITERIA,
    IN_PLACE_CRITERIA,
    IN_PLACE_ITEM,
    IN_PLACE_RISKS,
    NOT_LISTED,
    RISKS,
    RiskState,
    acceptance,
    risks,
)
from stepflow_tui.engine.texts import findings as finding_texts
from stepflow_tui.engine.texts import language
from stepflow_tui.engine.texts import risks as texts
from stepflow_tui.engine.texts.checklist import TITLES
from stepflow_tui.render.risks import risk_lines, risks_json


def rows(states: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"id": name, "state": state} for name, state in states.items()]


def state_of(name: str, states: Mapping[str, str], *found: object) -> RiskState:
    return next(r.state for r in risks(rows(states), found) if r.id == name)  # type: ignore[arg-type]


def test_every_entry_has_words_and_its_proofs_are_items() -> None:
    both = dict.fromkeys(r.id for r in (*RISKS, *IN_PLACE_RISKS))
    assert list(both) == list(texts.RISKS) == list(texts.MITIGATIONS)
    assert list(dict.fromkeys(c.id for c in (*CRITERIA, *IN_PLACE_CRITERIA))) == list(texts.ACCEPTANCE)
    assert {p for spec in (*RISKS, *CRITERIA, *IN_PLACE_RISKS, *IN_PLACE_CRITERIA) for p in spec.proofs} <= set(TITLES)


def test_findings_it_looks_for_exist() -> None:
    codes = set(finding_texts())
    unknown = [p for spec in (*RISKS, *IN_PLACE_RISKS) for p in spec.codes if not any(c.startswith(p) for c in codes)]
    assert unknown == []


def test_without_a_checklist_nothing_is_proved() -> None:
    assert {r.state for r in risks([], ())} == {RiskState.OPEN}
    assert {p.state for r in risks([], ()) for p in r.proofs} == {NOT_LISTED}


@pytest.mark.parametrize(
    ("backup", "equal", "expected"),
    [
        ("ticked", "ticked", RiskState.PROVED),
        ("ticked", "open", RiskState.OPEN),
        ("ticked", "accepted", RiskState.OPEN),
        ("failed", "ticked", RiskState.FAILED),
    ],
)
def test_data_loss_is_proved_by_backup_and_equality_together(backup: str, equal: str, expected: RiskState) -> None:
    assert state_of("data-loss", {"backup-database": backup, "data-equal": equal}) is expected


def test_a_blocking_finding_turns_its_risk_red_whatever_was_ticked() -> None:
    ticked = dict.fromkeys(TITLES.keys() - {IN_PLACE_ITEM}, "ticked")
    assert state_of("data-loss", ticked, blocking("source_corrupt")) is RiskState.FAILED
    assert state_of("data-loss", ticked, warning("source_corrupt")) is RiskState.PROVED
    assert state_of("crash", ticked, blocking("source_corrupt")) is RiskState.PROVED
    found = next(
        r for r in risks(rows(ticked), [blocking("disk_space"), blocking("disk_space")]) if r.id == "data-loss"
    )
    assert found.against == ("disk_space",)


def test_half_of_the_proofs_is_no_proof() -> None:
    assert state_of("outage", {"rollback-ready": "ticked"}) is RiskState.OPEN


def test_acceptance_needs_both_documents() -> None:
    found = {c.id: c.state for c in acceptance(rows({"documents-ready": "ticked", "documents-updated": "open"}))}
    assert found["documented"] is RiskState.OPEN
    assert {c.state for c in acceptance(rows(dict.fromkeys(TITLES, "ticked")))} == {RiskState.PROVED}


@given(st.dictionaries(st.sampled_from(sorted(TITLES)), st.sampled_from([s.value for s in ItemState])))
def test_green_means_every_proof_was_ticked(states: dict[str, str]) -> None:
    for risk in (*risks(rows(states), ()), *acceptance(rows(states))):
        proved = all(states.get(p.item) == "ticked" for p in risk.proofs)
        assert (risk.state is RiskState.PROVED) == proved
        assert (risk.state is RiskState.FAILED) == any(states.get(p.item) == "failed" for p in risk.proofs)


def test_the_register_in_json_is_english_and_complete() -> None:
    language.use("zh")
    try:
        found = risks_json(rows({"backup-database": "ticked"}), [blocking("disk_space")])
        lines = "\n".join(risk_lines(rows({}), ()))
    finally:
        language.use("en")
    first = found["risks"][0]
    assert (first["risk"], first["impact"], first["likelihood"], first["state"]) == (
        "Data is lost",
        "high",
        None,
        "failed",
    )
    assert first["proofs"] == [
        {"item": "backup-database", "state": "ticked"},
        {"item": "data-equal", "state": "not listed"},
    ]
    assert first["findings"] == ["disk_space"]
    assert [c["id"] for c in found["acceptance"]] == [c.id for c in CRITERIA]
    assert "Data is lost" not in lines


def test_the_plan_as_text_names_each_risk_with_its_proofs() -> None:
    lines = list(risk_lines(rows({"rollback-ready": "ticked"}), ()))
    at = next(n for n, line in enumerate(lines) if "The service is down for too long" in line)
    assert lines[at].split()[0] == "open"
    assert "not in this run's checklist" in lines[at + 2]
    assert lines[at + 3].endswith("(rollback-ready): ticked")
    assert sum("proof:" in line for line in lines) == sum(len(s.proofs) for s in (*RISKS, *CRITERIA))

"""What the maintenance window says before anything is stopped: its config, its checklist, what it does not use, how long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from stepflow_tui.engine.checks.config_unused import unused
from stepflow_tui.engine.checks.offline_window import window_findings
from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import ConfigError
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.model.plan import Compare, CompareKind, Plan, TableFacts, TablePlan, Walk, WalkKind
from stepflow_tui.engine.playbooks import playbook_for
from stepflow_tui.render.window import window_lines


def config(folder: Path, **keys: Any) -> Config:
    path = folder / "stepflow.yaml"
    written: dict[str, Any] = {
        "name": "shop", "kind": "sqlite-to-postgres", "mode": "offline", "source": {"path": "shop.db"},
        "target": {"embedded": True},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(written | keys))
    return load_config(path, {}).config


TABLE = TablePlan(
    source="t", schema="public", name="t", columns=(), walk=Walk(kind=WalkKind.SINGLE),
    compare=Compare(kind=CompareKind.MULTISET),
)  # fmt: skip
RECIPE = {"recipe": {"kind": "systemd", "unit": "shop"}}


def test_its_phases_are_all_but_the_read_switch(tmp_path: Path) -> None:
    names = playbook_for(config(tmp_path)).names
    assert names == ("prepare", "capture", "backfill", "validate", "cutover", "observe", "cleanup", "complete")


def test_writes_move_only_after_every_value_was_compared(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        config(tmp_path, verify={"level": "standard"})
    assert "verify.level: standard proves too little to move writes" in told.value.detail


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({}, []),
        ({"application": RECIPE, "cutover": {"window": "1h"}, "capture": {"budget": "2GiB"}}, []),
        ({"switch": {"soak": "1m"}}, ["switch"]),
        ({"capture": {"keep": "1d", "uncapturable": "reconcile"}}, ["capture.keep", "capture.uncapturable"]),
        ({"cutover": {"max_freeze": "1s"}}, ["cutover.max_freeze"]),
        ({"hooks": {"switch_reads": {"before": [{"run": "true"}]}}}, ["hooks.switch_reads"]),
    ],
)
def test_what_it_does_not_use_is_named(tmp_path: Path, keys: dict[str, Any], named: list[str]) -> None:
    assert unused(config(tmp_path, **keys)) == named


def test_who_stops_the_application(tmp_path: Path) -> None:
    """A person, before the window; what a recipe stops asks nobody."""
    by_hand = {i.id: i.before for i in playbook_for(config(tmp_path)).items}
    by_recipe = {i.id: i.before for i in playbook_for(config(tmp_path, application=RECIPE)).items}
    assert (by_hand["writers-stopped"], by_recipe["writers-stopped"]) == ("capture", "complete")
    assert "backfill" not in by_hand.values(), "in the window nobody has time for it"
    copy = {i.id for i in playbook_for(config(tmp_path, mode="copy")).items}
    assert not {"writers-stopped", "application-switched"} & copy


@pytest.mark.parametrize(("window", "severity"), [("1h", Severity.INFO), ("2s", Severity.WARNING)])
def test_a_window_that_may_not_suffice_needs_a_yes(tmp_path: Path, window: str, severity: Severity) -> None:
    plan = Plan(
        hash="", kind="sqlite-to-postgres", mode="offline", schema_hash="", config_hash="", encoding="UTF-8",
        tables=(TABLE,), statements=(), objects=(), facts={"t": TableFacts(rows=1_000_000)},
    )  # fmt: skip
    (found,) = window_findings(plan, config(tmp_path, cutover={"window": window}), measured=1.0)
    assert found.severity is severity
    assert found.params["high_seconds"] == 27.0


@pytest.mark.parametrize(
    ("gauge", "words"),
    [
        ({}, []),
        ({"predicted_seconds": 20.0, "predicted_low_seconds": 5.0, "seconds": 60.0}, ["5.0 s to 20 s"]),
        ({"state": "open", "ends_ms": 61_000, "seconds": 60.0}, ["the application is stopped", "1 min 0 s left"]),
        ({"state": "open", "ends_ms": 500, "seconds": 60.0}, ["is over"]),
        ({"state": "deciding", "ends_ms": 500, "seconds": 60.0}, ["is being started on the new side"]),
        ({"state": "switched", "actual_seconds": 12.0, "predicted_seconds": 20.0}, ["12 s", "predicted: 20 s"]),
        ({"state": "returned", "stopped_seconds": 7.0, "over": True}, ["7.0 s", "went back"]),
    ],
)
def test_the_status_tells_how_the_window_stands(gauge: dict[str, Any], words: list[str]) -> None:
    lines = " ".join(window_lines({"window": gauge or None}, now_ms=1_000))
    assert all(w in lines for w in words), lines
    assert bool(lines) == bool(words)

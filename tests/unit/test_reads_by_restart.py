"""Whose reads move with the restart of the application, and what that takes off the checklist."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.model.checklist import ItemKind
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.playbooks.checklist import items_of
from stepflow_tui.engine.steps.live.reads_by_restart import moves_by_restart
from stepflow_tui.render.guards import cutover_guards
from tests.run_kit import write_config

RECIPE = "{recipe: {kind: systemd, unit: shop}}"
SWITCHES = "{switches: [{file: .env, set: {A: b}}]}"


def config(folder: Path, application: str, switch: str = "{}") -> Config:
    path = write_config(folder, mode="live", target="{embedded: true}", application=application, switch=switch)
    return load_config(path, {}).config


@pytest.mark.parametrize(
    ("application", "switch", "moves"),
    [
        (RECIPE, "{}", True),
        (SWITCHES, "{shadow_reads: 0}", True),
        (RECIPE, "{strategy: gradual}", False),
        (RECIPE, "{steps: [50, 100]}", False),
        ("{}", "{}", False),
        ("{health: [{tcp: 'h:1'}]}", "{}", False),
    ],
)
def test_reads_move_with_the_restart_unless_somebody_routes_them(
    tmp_path: Path, application: str, switch: str, moves: bool
) -> None:
    assert moves_by_restart(config(tmp_path, application, switch)) is moves


@pytest.mark.parametrize(
    ("application", "switched", "routed"),
    [
        (RECIPE, ItemKind.AUTO, ItemKind.AUTO),
        (SWITCHES, ItemKind.MANUAL, ItemKind.AUTO),
        ("{recipe: {kind: git, directory: app}}", ItemKind.MANUAL, ItemKind.AUTO),
        ("{}", ItemKind.MANUAL, ItemKind.MANUAL),
    ],
)
def test_what_is_no_person_s_any_more(tmp_path: Path, application: str, switched: ItemKind, routed: ItemKind) -> None:
    kinds = {item.id: item.kind for item in items_of(config(tmp_path, application))}
    assert (kinds["application-switched"], kinds["application-routed"]) == (switched, routed)


@pytest.mark.parametrize(
    ("strategy", "code", "fine"), [("restart", "reads_by_restart", True), ("gradual", "reads", False)]
)
def test_writes_may_move_before_such_reads_do(strategy: str, code: str, fine: bool) -> None:
    """And nobody says that they come from the new side already."""
    guards = {g.code: g for g in cutover_guards({"switch": {"strategy": strategy, "percentage": 0.0}})}
    assert {"reads", "reads_by_restart"} & set(guards) == {code}
    assert guards[code].ok is fine
    assert "all reads come from the new side" not in {g.text for g in guards.values()}

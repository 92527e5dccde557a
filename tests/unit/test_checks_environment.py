"""Checks of what surrounds a run: sections nothing reads, login sessions that take their processes along."""

from __future__ import annotations

import pytest

from stepflow_tui.engine.checks.config_unused import unused
from stepflow_tui.engine.checks.system_logout import in_login_session, kills
from stepflow_tui.engine.model.config import Config

BASE = {"name": "shop", "kind": "sqlite-to-postgres", "source": {"path": "/data/shop.db"}}


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("alerts", {"channels": ["json://127.0.0.1"]}),
    ],
)
def test_a_section_nothing_reads_is_named(section: str, value: dict[str, object]) -> None:
    assert unused(Config.model_validate(BASE)) == []
    assert unused(Config.model_validate({**BASE, section: value})) == [section]


def test_a_probe_that_writes_is_not_run_while_the_source_is_copied() -> None:
    writes = {"name": "order", "create": {"http": "http://x/"}, "delete": {"http": "http://x/"}}
    probes = {"application": {"probes": [writes, {"name": "page", "read": {"http": "http://x/"}}]}}
    assert unused(Config.model_validate({**BASE, **probes})) == ["application.probes.order"]
    assert unused(Config.model_validate({**BASE, **probes, "mode": "live"})) == []


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ({"wal": {"page_size": "8192", "max_bytes": "1GiB"}}, ["wal.page_size"]),
        (
            {"application": {"python": "/usr/bin/python3", "sqlite": "3.51.3"}},
            ["application.python", "application.sqlite"],
        ),
        ({"requirements": {"network": ["db:5432"]}}, ["requirements"]),
    ],
)
def test_what_belongs_to_a_conversion_in_place_is_named_elsewhere(written: dict[str, object], named: list[str]) -> None:
    assert unused(Config.model_validate({**BASE, **written})) == named


def test_hooks_are_run_where_the_mode_has_their_phase() -> None:
    hooks = {"backfill": {"before": [{"run": "true"}]}, "capture": {"after": [{"run": "true"}]}, "observe": {}}
    assert unused(Config.model_validate({**BASE, "hooks": hooks})) == ["hooks.capture"]


@pytest.mark.parametrize(
    ("cgroup", "inside"),
    [
        ("0::/user.slice/user-1000.slice/session-7.scope\n", True),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope\n", False),
        ("0::/system.slice/cron.service\n", False),
        ("", False),
    ],
)
def test_login_sessions_are_told_from_lingering_scopes(cgroup: str, inside: bool) -> None:
    assert in_login_session(cgroup) is inside


def test_only_a_plain_yes_of_logind_counts() -> None:
    assert kills("b true\n")
    assert not kills("b false\n")
    assert not kills("")

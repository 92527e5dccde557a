"""`application plan|status|health`, and the application in `plan` and `status`: exit codes, JSON, words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tui.application_states import APPLICATION, AVAILABILITY, PLAN, REFUSED, STOPPED
from tests.unit.cli_kit import CONFIG, STATUS, FakeEngine, FakeReader

Cli = Callable[..., int]
WELL = {"what": "http://127.0.0.1/", "ok": True, "reason": "", "seconds": 0.01, "status": 200}
SICK = {"what": "tcp 127.0.0.1:1", "ok": False, "reason": "connection refused", "seconds": 0.0, "status": None}


@pytest.fixture
def ready(engine: FakeEngine, tmp_path: Path) -> FakeEngine:
    (tmp_path / "stepflow.yaml").write_text(CONFIG)
    engine.reader = FakeReader(state={**STATUS, "application": APPLICATION, "availability": AVAILABILITY})
    return engine


@pytest.mark.parametrize(("plan", "code"), [(PLAN, 0), (REFUSED, 4), ({"configured": False, "exit_code": 0}, 0)])
def test_plan(cli: Cli, ready: FakeEngine, capsys: pytest.CaptureFixture[str], plan: dict[str, Any], code: int) -> None:
    ready.application = plan
    assert cli("application", "plan") == code
    told = capsys.readouterr().out
    assert ("systemctl stop shop.service" in told) is plan["configured"]
    assert ("setting_read_only" in told) is bool(code)
    assert cli("--json", "application", "plan", "--look") == code
    assert json.loads(capsys.readouterr().out) == plan


def test_the_migration_s_plan_has_a_section_of_it(
    cli: Cli, ready: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("plan") == 0
    assert "Application" not in capsys.readouterr().out
    ready.application = PLAN
    assert cli("plan") == 0
    told = capsys.readouterr().out.splitlines()
    assert "Application" in told
    assert any("postgresql://shop@db/shop" in line for line in told)
    assert cli("--json", "plan") == 0
    assert json.loads(capsys.readouterr().out)["application"] == PLAN


def test_status(cli: Cli, ready: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("application", "status") == 0
    told = capsys.readouterr().out
    assert "application: new: switched and started" in told
    assert cli("status", "--plain") == 0
    assert "NOT HEALTHY: tcp 127.0.0.1:8001: connection refused" in capsys.readouterr().out
    assert cli("--json", "application", "status") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["application"], found["availability"]) == (APPLICATION, AVAILABILITY)
    ready.reader = FakeReader(state=STATUS)
    assert cli("application", "status") == 0
    assert "Nothing is known of an application" in capsys.readouterr().out


@pytest.mark.parametrize(("answers", "code"), [([WELL], 0), ([WELL, SICK], 4), ([], 0)])
def test_health(
    cli: Cli, ready: FakeEngine, capsys: pytest.CaptureFixture[str], answers: list[dict[str, Any]], code: int
) -> None:
    ready.health = answers
    assert cli("application", "health") == code
    told = capsys.readouterr().out
    assert ("connection refused" in told) is bool(code)
    assert bool(answers) is ("no health checks" not in told)
    assert cli("--json", "application", "health") == code
    found = json.loads(capsys.readouterr().out)
    assert found == {"healthy": not code, "health": answers}


def test_health_of_a_run_asks_by_the_config_it_was_started_with(
    cli: Cli, ready: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.health = [WELL]
    config = tmp_path / "elsewhere.yaml"
    config.write_text(CONFIG)
    monkeypatch.setattr(FakeEngine, "remains", lambda self, run: {"config": str(config)}, raising=False)
    assert cli("application", "health", "shop") == 0
    monkeypatch.setattr(FakeEngine, "remains", lambda self, run: {"config": None}, raising=False)
    assert cli("application", "health", "shop") == 2
    assert "no_config" in capsys.readouterr().err
    assert cli("application", "health", "nothing") == 2
    assert cli("application", "health", "missing.yaml") == 2


def test_plain_has_no_signs(cli: Cli, ready: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    ready.reader = FakeReader(state={**STATUS, "application": STOPPED})
    assert cli("--plain", "application", "status") == 0
    told = capsys.readouterr().out
    assert "DOWN: not running: unit shop.service" in told
    assert not {"✓", "✗"} & set(told)

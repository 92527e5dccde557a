"""The monitor without an application: logs that rotate, alerts with hysteresis, lines that fit a terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application import logs
from stepflow_tui.engine.application.logs import LogState, LogTail, identities
from stepflow_tui.engine.config import config_of
from stepflow_tui.engine.facade import monitor as facade_monitor
from stepflow_tui.engine.facade.monitor import monitor_unit, seconds_of, was_converted
from stepflow_tui.engine.facade.monitor_alerts import AlertCode, Alerts
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.config_wal import LogFile
from stepflow_tui.engine.model.redact import redactor
from stepflow_tui.engine.texts import language
from stepflow_tui.engine.texts.monitoring import ALERTS
from stepflow_tui.render.monitor import alert_lines, look_line
from stepflow_tui.render.width import cells
from tests.unit.cli_kit import FakeEngine, monitor_look
from tests.unit.conftest import Cli

MIB = 1 << 20


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("ERROR old\n")
    return path


def tail_of(path: Path, *patterns: str, **more: Any) -> LogTail:
    made = LogFile.model_validate(
        {"file": str(path), "patterns": patterns or ("ERROR",)}, context={"base": path.parent}
    )
    return LogTail(log=made, redact=redactor({"hunter22"}), **more)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_what_is_new_counts(log: Path) -> None:
    tail = tail_of(log)
    assert tail.look().found == 0
    append(log, "fine\nERROR one\nERROR tw")
    look = tail.look()
    assert (look.lines, look.found, look.hits[0].newest) == (2, 1, "ERROR one")
    append(log, "o hunter22\n")
    assert tail.look().hits[0].newest == "ERROR two ***", "a line is looked at once it is whole, without secrets"
    assert tail.look().found == 0
    tail.close()


def test_a_single_look_reads_the_end_of_the_log_from_a_whole_line_on(log: Path) -> None:
    append(log, "ERROR a\nERROR b\n")
    tail = tail_of(log, history=len("RROR a\nERROR b\n"))
    assert [hit.count for hit in tail.look().hits] == [1]
    tail.close()
    whole = tail_of(log, history=1 << 20)
    assert whole.look().found == 3
    whole.close()


def test_rotation_by_renaming_loses_no_line(log: Path) -> None:
    tail = tail_of(log)
    tail.look()
    append(log, "ERROR before\n")
    log.rename(log.with_name("app.log.1"))
    append(log.with_name("app.log.1"), "ERROR late, the application has it open still\n")
    log.write_text("ERROR after\n")
    look = tail.look()
    assert (look.found, look.rotated, look.hits[0].newest) == (3, True, "ERROR after")
    assert tail.look().found == 0
    tail.close()


def test_a_log_that_was_cut_off_is_read_from_its_beginning(log: Path) -> None:
    append(log, "x" * 100 + "\n")
    tail = tail_of(log)
    tail.look()
    log.write_text("ERROR short\n")
    assert tail.look().found == 1
    log.write_text("ERROR longer than what was there before\nERROR second\n")
    assert tail.look().found == 2, "it has grown beyond the place that was reached, and is not the same"
    tail.close()


def test_a_log_that_comes_late_is_new_from_its_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "late.log"
    tail = tail_of(path)
    assert tail.look().state is LogState.MISSING
    path.write_text("ERROR first\n")
    assert tail.look().found == 1
    path.unlink()
    assert tail.look().state is LogState.MISSING
    tail.close()


def test_what_a_look_reads_is_bounded(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LOOK_BYTES", 100)
    tail = tail_of(log)
    tail.look()
    append(log, "ERROR\n" * 100)
    look = tail.look()
    assert look.skipped == 500
    assert 0 < look.found < 20
    append(log, "y" * 300_000)
    assert tail.look().lines == 0
    tail.close()


def test_the_database_is_no_log_even_where_the_config_says_so(tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    database.write_bytes(b"ERROR")
    (tmp_path / "link.log").symlink_to(database)
    os.link(database, tmp_path / "hard.log")
    opened: list[str] = []
    original = os.open
    for name in ("shop.db", "link.log", "hard.log"):
        tail = tail_of(tmp_path / name, never=lambda: identities(database, ("-wal",)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                os, "open", lambda path, *rest, **more: opened.append(str(path)) or original(path, *rest, **more)
            )
            assert tail.look().state is LogState.NO_LOG
    assert opened == []
    assert tail_of(tmp_path).look().state is LogState.NO_LOG, "a folder"


def config_with(**sections: Any) -> Config:
    text = {"version": 1, "name": "shop", "kind": "sqlite-wal", "source": {"path": "./shop.db"}, **sections}
    return config_of(json.dumps(text).encode(), Path("/nowhere/stepflow.yaml"), {}).config


def look_with(**database: Any) -> dict[str, Any]:
    look = monitor_look()
    return look | {"database": look["database"] | database}


def codes(events: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(e["event"], e["code"]) for e in events]


def test_an_alert_stands_until_two_looks_are_well_within_the_limit() -> None:
    alerts = Alerts(config_with(monitor={"limits": {"wal": "100MiB"}}), expects_wal=True)
    assert alerts.judge(look_with(wal_bytes=100 * MIB)) == []
    assert codes(alerts.judge(look_with(wal_bytes=100 * MIB + 1))) == [("alert", "wal_large")]
    assert alerts.standing == ["wal_large"]
    for size in (101, 99, 81, 79, 90, 79):
        assert alerts.judge(look_with(wal_bytes=size * MIB)) == [], f"{size} MiB: neither a new alert nor the end of it"
    assert codes(alerts.judge(look_with(wal_bytes=70 * MIB))) == [("alert_cleared", "wal_large")]
    assert alerts.standing == []


def test_what_is_not_known_neither_raises_nor_clears() -> None:
    alerts = Alerts(config_with(), expects_wal=True)
    alerts.judge(look_with(wal_bytes=500 * MIB))
    for _ in range(3):
        assert alerts.judge(look_with(wal_bytes=None, mode="unknown")) == []
        assert alerts.standing == ["wal_large"]


def test_starvation_names_the_process() -> None:
    alerts = Alerts(config_with(wal={"starvation": "60s"}), expects_wal=True)
    pin = {"pid": 12, "command": "python app.py", "age_seconds": 59.0}
    assert alerts.judge(look_with(pinned_by=[pin])) == []
    [event] = alerts.judge(look_with(pinned_by=[pin | {"age_seconds": 61.0}]))
    assert (event["code"], event["params"]["pid"]) == ("wal_starved", 12)
    assert "python app.py" in " ".join(alert_lines(event))


@pytest.mark.parametrize(("expects", "modes", "raised"), [
    (True, ["rollback"], True), (False, ["rollback", "rollback"], False), (False, ["wal", "rollback"], True),
])  # fmt: skip
def test_a_mode_has_changed_only_where_it_was_another(expects: bool, modes: list[str], raised: bool) -> None:
    alerts = Alerts(config_with(), expects_wal=expects)
    for mode in modes:
        alerts.judge(look_with(mode=mode))
    assert (alerts.standing == ["mode_changed"]) is raised


@pytest.mark.parametrize(("newest", "converted"), [
    ({}, True), ({"result": "rolled_back"}, False), ({"name": "other"}, False), ({"kind": "sqlite-to-postgres"}, False),
])  # fmt: skip
def test_a_finished_run_left_it_in_wal_mode(
    newest: dict[str, Any], converted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = {"name": "shop", "kind": "sqlite-wal", "result": "completed"}
    unfinished = {"name": "shop", "kind": "sqlite-wal", "result": None}
    rows = [unfinished, older | newest, older if newest.get("result") else unfinished]
    monkeypatch.setattr(facade_monitor, "list_runs", lambda _state: rows)
    text = b"version: 1\nname: shop\nkind: sqlite-wal\nsource: {path: ./shop.db}\n"
    assert was_converted(config_of(text, tmp_path / "stepflow.yaml", {}), tmp_path) is converted


def test_each_check_and_process_stands_for_itself_and_goes_with_its_alert() -> None:
    alerts = Alerts(config_with(monitor={"limits": {"latency": "50ms", "memory": "500MiB"}}), expects_wal=True)
    answer = {"what": "http://x/", "kind": "http", "ok": True, "reason": "", "seconds": 0.06, "status": 200}
    command = {"what": "command x", "kind": "command", "ok": True, "reason": "", "seconds": 3.0, "status": 0}
    heavy = {"known": True, "complete": True, "found": [{"pid": 7, "command": "app", "memory": 501 * MIB}]}
    events = alerts.judge(
        monitor_look(health=[answer, command, answer | {"ok": False, "reason": "no"}], processes=heavy)
    )
    assert sorted(codes(events)) == [("alert", "high_memory"), ("alert", "slow_response"), ("alert", "unhealthy")]
    assert [codes(alerts.judge(monitor_look())) for _ in range(2)][1] == [
        ("alert_cleared", "slow_response"), ("alert_cleared", "unhealthy"), ("alert_cleared", "high_memory")
    ]  # fmt: skip


def test_the_target_the_disk_the_database_and_the_log() -> None:
    alerts = Alerts(config_with(requirements={"disk": {"minimum": "1GiB", "recommended": "2GiB"}}), expects_wal=False)
    target = {"ok": False, "address": "u@h:1/d", "reason": "refused", "code": "target_down", "seconds": None}
    hit = {"file": "/l", "state": "read", "hits": [{"pattern": "E", "count": 2, "newest": "E x"}]}
    look = monitor_look(target=target, logs=[hit], disk={"folder": "/d", "free": MIB, "total": 2 * MIB})
    look["database"]["mode"] = "missing"
    events = alerts.judge(look)
    assert [e["code"] for e in events] == ["unreachable", "unreachable", "disk_low", "log_pattern"]
    assert {e["key"] for e in events} == {"database", "target", "", "/l"}
    for event in events:
        assert all(cells(line) <= 80 for line in alert_lines(event))


def test_every_alert_has_words() -> None:
    assert set(ALERTS) == {code.value for code in AlertCode}


@pytest.mark.parametrize("spoken", ["en", "zh"])
def test_a_look_fits_eighty_columns(spoken: str) -> None:
    language.use(spoken)
    try:
        pin = {"pid": 4194304, "command": "python", "age_seconds": 100.0}
        health = [{"what": "x", "kind": "http", "ok": True, "reason": "", "seconds": 12.5, "status": 200}] * 12
        found = [{"pid": 1, "command": "x", "memory": 1023 * MIB}]
        logs_ = [{"file": "/l", "state": "read", "hits": [{"pattern": "E", "count": 123_456, "newest": ""}]}]
        target = {"ok": True, "seconds": 0.012}
        look = monitor_look(
            health=health, logs=logs_, target=target, alerts=["a"] * 9,
            processes={"known": True, "complete": True, "found": found},
        )  # fmt: skip
        look["database"] |= {"wal_bytes": 1023 * MIB, "frames": 1_234_567, "pinned_by": [pin]}
        line = look_line(look)
        assert cells(line) <= 80
        assert "1,234,567 pid 4194304" in line
        assert "12/12" in line
    finally:
        language.use("en")


def test_the_command_prints_lines_or_json_and_ends_with_the_newest_look(
    cli: Cli, engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stepflow.yaml").write_text("version: 1\nname: s\nkind: sqlite-wal\nsource: {path: ./s.db}\n")
    alert = {
        "event": "alert",
        "time": "2026-01-31T12:00:00.000Z",
        "code": "mode_changed",
        "key": "",
        "since": "",
        "params": {},
    }
    engine.looks = [monitor_look(), monitor_look(alerts=["mode_changed"], exit_code=4), alert]
    assert cli("monitor", "--every", "1s", "--for", "2s") == 4
    assert "ALERT mode_changed" in capsys.readouterr().out
    assert ("monitor", {"every": "1s", "lasting": "2s", "once": False}) in engine.calls
    assert cli("monitor", "--json") == 4
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["look", "look", "alert"]
    assert cli("monitor", "--unit") == 0
    assert "systemctl enable x" in capsys.readouterr().out


def test_the_unit_names_config_user_and_needed_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "s3cret-canary")
    (tmp_path / "shop.db").touch()
    text = (
        b"version: 1\nname: shop\nkind: sqlite-wal\nsource: {path: ./shop.db}\nalerts: {channels: ['${SHOP_TOKEN}']}\n"
    )
    loaded = config_of(text, tmp_path / "a $b%.yaml", dict(os.environ))
    unit = monitor_unit(loaded, tmp_path / "state", "10s")
    assert unit["variables"] == ["SHOP_TOKEN"]
    assert "s3cret-canary" not in str(unit)
    assert f'"{tmp_path}/a $$b%%.yaml" "--every" "10s"' in unit["service"]
    assert f"User={unit['user']}\n" in unit["service"]
    assert seconds_of("100ms", "--every") == 0.1

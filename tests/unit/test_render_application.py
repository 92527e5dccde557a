"""The application's side as text: what is known is said, what is not known is left out, and values are only shown."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow_tui.engine.texts import language
from stepflow_tui.render.application import (
    application_lines,
    configured,
    figures,
    moves_application,
    phase_table,
    short_line,
    totals,
    watched,
)
from stepflow_tui.render.application_plan import plan_lines
from stepflow_tui.render.live import is_live, is_offline
from stepflow_tui.render.status import status_lines
from tests.tui.application_states import APPLICATION, AVAILABILITY, DOWN, PLAN, REFUSED, STOPPED, WELL
from tests.tui.kit import status


def phases(*names: str) -> dict[str, Any]:
    return {"phases": [{"name": name, "state": "pending", "steps": []} for name in names]}


OFFLINE = phases("prepare", "capture", "backfill", "validate", "cutover", "observe", "cleanup", "complete")
LIVE = phases("prepare", "capture", "backfill", "validate", "switch_reads", "cutover", "observe", "cleanup", "complete")


def test_everything_that_is_known_is_said() -> None:
    told = list(application_lines({"application": APPLICATION, "availability": AVAILABILITY}))
    assert told[0] == "application: new: switched and started; last restart 2026-11-22T12:03:40.000Z"
    assert "  ✓ unit shop.service runs, process 4711, since 2026-11-22T12:01:07Z" in told
    assert "  ✓ revision of ./app runs, version v2.0" in told
    assert "  ✓ http://127.0.0.1:8000/health, 12 ms" in told
    assert "  ✗ tcp 127.0.0.1:8001: connection refused" in told
    whole = "availability: answers in 12 ms; unavailable 2.9 s, longest gap 2.9 s, 3 of 440 requests failed"
    assert whole in told
    assert any(line.split() == ["Cut", "over", "2.9", "s", "2.9", "s", "3"] for line in told)


def test_without_signs_every_state_is_a_word() -> None:
    told = "\n".join(application_lines({"application": STOPPED, "availability": DOWN}, signs=False))
    assert "STOPPED" in told
    assert "DOWN: not running: unit shop.service" in told
    assert "NOT HEALTHY: " in told
    assert "  healthy: " not in told, "what stands still is not well, whatever it said before"
    assert "NOT HEALTHY: tcp 127.0.0.1:8001" in told
    assert "DOES NOT ANSWER" in told
    assert not {"✓", "✗"} & set(told)


@pytest.mark.parametrize(
    "gauges",
    [
        {}, {"application": None, "availability": None}, {"application": {}}, {"application": {"health": [{}]}},
        {"availability": {"phases": {"prepare": None}}}, {"availability": {"now": {}, "phases": {"prepare": {}}}},
        {"application": {"state": "folded", "standing": [{"running": True}], "health": None}},
    ],
)  # fmt: skip
def test_gauges_that_lack_anything_are_no_problem_and_nothing_is_made_up(gauges: dict[str, Any]) -> None:
    told = "\n".join([*application_lines(gauges), short_line(gauges)])
    assert "0.0 s" not in told
    assert "None" not in told


def test_no_application_no_lines() -> None:
    assert not configured({"application": None, "availability": None})
    assert list(application_lines(status())) == []
    assert "application" not in "\n".join(status_lines(status()))
    assert "application: STOPPED" in "\n".join(status_lines(status(application=STOPPED)))


def test_all_phases_together() -> None:
    whole = totals(AVAILABILITY)
    assert (whole["requests"], whole["failed"], whole["longest_gap_seconds"]) == (440, 3, 2.9)
    assert totals({}) == {}
    assert figures({}) == ""
    gap = {**AVAILABILITY["phases"]["cutover"], "unmeasured_seconds": 30.0}
    assert figures(gap).endswith("not measured 30 s"), "time in which nobody asked is not good time"
    assert phase_table({}) == []


def test_phases_stand_in_the_order_of_the_run_whatever_the_gauge_s() -> None:
    mixed = {name: {"failed": 0} for name in ("later", "cutover", "backfill", "prepare")}
    table = phase_table({**LIVE, "availability": {"phases": mixed}})
    assert [row[0] for row in table] == ["phase", "Prepare", "Copy", "Cut over", "later"]


def test_the_short_line_has_no_figure_that_changes_every_second() -> None:
    one = short_line({"application": WELL, "availability": AVAILABILITY})
    later = {**AVAILABILITY, "now": {"ok": True, "latency_ms": 99.0, "at_ms": 7}}
    assert one == short_line({"application": WELL, "availability": later}) == "answers, healthy, unavailable 2.9 s"
    assert short_line({"application": STOPPED, "availability": DOWN}).startswith("STOPPED, DOES NOT ANSWER, 1 health")


def test_values_from_outside_are_shown_not_obeyed() -> None:
    evil = "\x1b[2Jshop\u202e"
    told = application_lines(
        {
            "application": {
                "state": evil,
                "last_restart": evil,
                "health": [{"what": evil, "ok": False, "reason": evil * 500}],
                "standing": [{"what": evil, "running": True, "version": evil, "since": evil}],
            }
        }
    )
    lines = list(told)
    assert all("\x1b" not in line and "\u202e" not in line for line in lines)
    assert max(map(len, lines)) < 1200
    made = plan_lines({**PLAN, "commands": [{"recipe": evil, "action": evil, "text": evil}]})
    assert "\x1b" not in "".join(made)


def test_the_plan_says_lines_commands_and_how_each_is_undone() -> None:
    told = list(plan_lines(PLAN))
    assert "        2 - DATABASE_URL = sqlite:///shop.db" in told
    assert "        2 + DATABASE_URL = postgresql://shop@db/shop" in told
    assert "        9 + SECRET_KEY = ***" in told, "a new key has no line before"
    assert sum("SECRET_KEY" in line for line in told) == 1
    numbered = [
        "  1. stop (systemd shop.service): systemctl stop shop.service",
        "  2. settings: 2 settings are changed",
    ]
    at = told.index("In this order")
    assert told[at + 1 : at + 3] == numbered
    assert told[at + 3].startswith("  3. start (systemd shop.service)")
    assert told[at + 4 : at + 6] == [
        "Taken back by",
        "  1. undo: the settings are put back as they were, before the old application is started",
    ]
    assert "  http://127.0.0.1:8000/health" in told
    assert "  systemd shop.service: unit shop.service runs, process 4711, since 2026-11-22T12:01:07Z" in told


def test_a_copy_says_that_it_switches_nothing() -> None:
    assert next(plan_lines({**PLAN, "mode": "copy"})).startswith("In mode copy the run does nothing of this")
    assert next(plan_lines({**PLAN, "mode": "live"})) == "Settings that change (secrets are hidden)"


def test_what_stands_in_the_way_comes_first_with_what_helps() -> None:
    told = list(plan_lines(REFUSED))
    assert told[:3] == [
        "In the way (1)",
        "  /srv/shop/.env can't be written. (setting_read_only)",
        "    Let StepFlow run as its owner.",
    ]


def test_a_config_without_an_application_says_who_does_it() -> None:
    assert list(plan_lines({"configured": False})) == [
        "No application is configured: what it needs is done by hand, and stands in the checklist."
    ]
    bare = {"configured": True, "exit_code": 0}
    told = "\n".join(plan_lines(bare))
    assert "No settings are changed." in told
    assert "No recipe" in told
    assert "No health check" in told


def test_an_offline_run_is_not_taken_for_a_live_one() -> None:
    assert (is_live(LIVE), is_offline(LIVE)) == (True, False)
    assert (is_live(OFFLINE), is_offline(OFFLINE)) == (False, True)
    assert (is_live(status()), is_offline(status())) == (False, False)
    assert moves_application(OFFLINE) == {"capture", "cutover"}
    assert moves_application(LIVE) == {"cutover"}


WINDOW = {"state": "open", "began_ms": 0, "ends_ms": 1_800_000, "seconds": 1800.0, "predicted_seconds": 240.0}


@pytest.mark.parametrize(
    ("window", "now_ms", "short"),
    [
        ({"predicted_seconds": 240.0, "seconds": 1800.0}, 0, ""),
        (WINDOW, 60_000, "window: 29 min left"),
        (WINDOW, 60_900, "window: 29 min left"),
        (WINDOW | {"state": "deciding"}, 1_799_000, "window: 1 min left"),
        (WINDOW, 1_801_000, "window OVER"),
        (WINDOW | {"state": "switched"}, 9_000_000, ""),
        ({}, 0, ""),
    ],
)
def test_the_maintenance_window_is_in_sight_by_the_minute(window: dict[str, Any], now_ms: float, short: str) -> None:
    assert short_line({"window": window}, now_ms) == short
    assert watched({"window": window}) is bool(window)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_both_languages_have_it(lang: str) -> None:
    language.use(lang)
    assert list(application_lines({"application": APPLICATION, "availability": AVAILABILITY}))
    assert list(plan_lines(REFUSED))


@pytest.mark.parametrize(("step", "moves"), [("convert", set()), ("stop-application", {"cutover"})])
def test_in_place_the_page_comes_only_where_a_step_stops_it(step: str, moves: set[str]) -> None:
    made = [{"name": "cutover", "steps": [{"name": step}]}, {"name": "observe", "steps": [{"name": "watch"}]}]
    assert moves_application({"kind": "sqlite-wal", "phases": made}) == moves


def test_a_recipe_that_only_restarts_is_told_to_be_for_the_way_back() -> None:
    start = {"action": "start", "recipe": "command shop", "text": "start it", "undo": False}
    told = {"configured": True, "mode": "in-place", "settings": [], "commands": [start]}
    only = "Only the way back stops and starts it"
    assert only in "\n".join(plan_lines(told))
    assert only not in "\n".join(plan_lines({**told, "commands": [start, {**start, "action": "deploy"}]}))
    assert only not in "\n".join(plan_lines({**told, "mode": "offline"}))


def test_little_room_gets_short_times() -> None:
    measured = {"prepare": {"unavailable_seconds": 107.0, "longest_gap_seconds": 7261.0, "failed": 3}}
    told = {"availability": {"phases": measured}}
    assert phase_table(told, short=True)[1][1:] == ("1:47", "2:01:01", "3")
    assert phase_table(told)[1][1:] == ("1 min 47 s", "2 h 1 min", "3")

"""A real journal with gauges and events of a live run: the same facts in status, plain lines, JSON and the history."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from screens.run_words import next_line
from stepflow_tui.engine import api
from stepflow_tui.engine.journal.lock import take_lock
from stepflow_tui.engine.journal.status import _current as current_step
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.render.events import event_lines, public_event
from stepflow_tui.render.history import KINDS, history_lines
from tests.tui.live_states import LAG, LIVE, SWITCH, WAL, switching
from tests.tui.run_rows import make_run, state_of

Cli = Callable[..., int]

EVENTS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("capture_installed", {"tables": 4, "triggers": 20}, "change capture installed; tables: 4"),
    ("switch", {"from": 5, "to": 25, "by": "ann", "reason": "soak"}, "reads to the new side: 5 % → 25 % (ann, soak)"),
    (
        "switch_rolled_back",
        {"from": 25, "signal": "mismatches", "params": {"count": 2}},
        "READS MOVED BACK to the old side from 25 %: reads that gave different rows on the two sides: 2",
    ),
    ("cutover_fenced", {"seconds": 0.0, "log_max": 7}, "cutover: writes to SQLite are refused from now on"),
    ("cutover_drained", {"seconds": 0.11, "changes": 1234, "applied": 9}, "in PostgreSQL (1,234), after 0.11 s"),
    ("cutover_compared", {"seconds": 0.2, "keys": 17}, "equal on both sides (17), after 0.2 s"),
    ("cutover_sequences", {"seconds": 0.21, "sequences": 3}, "sequences set behind the highest keys (3)"),
    ("cutover_keys", {"seconds": 0.22, "refused": []}, "foreign keys made, not validated yet"),
    ("cutover_return_proven", {"seconds": 0.3}, "a row went there and back, after 0.3 s"),
    ("cutover_point_of_no_return", {}, "POINT OF NO RETURN"),
    ("cutover_writes_open", {"seconds": 0.31}, "PostgreSQL takes writes; they stood still for 0.31 s"),
    (
        "cutover_failed",
        {"code": "freeze_too_long", "message": "It took too long."},
        "this try failed: It took too long.",
    ),
    ("cutover_taken_back", {}, "the application writes to SQLite as before"),
    ("cutover_of_another_version", {"what": "new thing"}, "cutover: new thing"),
    ("switch_rearmed", {"by": "ann"}, "armed again, by ann"),
    ("switch_suspended", {"lag_seconds": 12.5}, "reads follow the old side for now: the new one is behind"),
    ("switch_resumed", {"lag_seconds": 0.4}, "reads follow the switch again"),
    ("switch_refused", {"code": "switch_disarmed", "message": "Not armed."}, "stays where it is: Not armed."),
    ("capture_disturbed", {"code": "x", "message": "A trigger is gone."}, "was disturbed: A trigger is gone."),
    ("capture_mended", {"again": {"orders": "vacuum"}}, "change capture is mended"),
    ("tables_copied_again", {"tables": ["a", "b"]}, "tables to be copied again: a, b"),
    ("log_not_tended", {"code": "x", "message": "No connection."}, "could not be looked after: No connection."),
    ("writes_taken_back", {"seconds": 2.5, "keys": 7, "blocked": 0}, "SQLite takes writes again, 2.5 s after"),
    ("rows_given_up", {"rows": 2, "named": "orders 7: too large"}, "2 (orders 7: too large)"),
    ("cutover_rehearsed", {"freeze_seconds": 0.42, "ready": True}, "stand still for about 0.42 s"),
    ("cutover_postponed", {"at": "2026-11-22T23:00:00Z"}, "postponed until 2026-11-22T23:00:00Z"),
    ("observing", {"window_seconds": 86400, "then": "wait"}, "PostgreSQL owns the writes"),
)


async def _fill(journal: Journal) -> None:
    for name, data in (("lag", LAG), ("wal", WAL), ("switch", SWITCH), ("live", LIVE)):
        journal.gauge(name, data)
    await journal.flush_gauges()
    for code, data, _said in EVENTS:
        await journal.event(code, data)


@pytest.fixture
async def run(tmp_path: Path) -> Any:
    return await make_run(tmp_path, _fill)


async def test_the_status_holds_the_gauges(run: Any) -> None:
    handle = take_lock(run.path)
    with api.RunReader(run.path) as reader:
        status = reader.status()
    os.close(handle)
    assert {name: status[name] for name in ("lag", "wal", "switch", "live")} == {
        "lag": LAG, "wal": WAL, "switch": SWITCH, "live": LIVE,
    }  # fmt: skip


async def test_without_an_engine_no_figure_passes_for_a_present_one(run: Any) -> None:
    with api.RunReader(run.path) as reader:
        status, times = reader.status(), reader.gauge_times()
    assert status["lag"] is None
    for name, gone in (("wal", "pinned_by"), ("switch", "soak_left_seconds"), ("live", "rows_per_second")):
        assert status[name]["as_of"] == iso_utc(times[name]), name
        assert status[name].get(gone) is None, name
    assert status["switch"]["percentage"] == SWITCH["percentage"], "what was reached stays known"


async def test_every_event_is_told_in_plain_lines_and_in_the_history(run: Any) -> None:
    with api.RunReader(run.path) as reader:
        told = {row["code"]: public_event(row, run.id) for row in reader.events(0)}
        kept = {row["code"] for row in reader.history(codes=KINDS["steps"])}
    for code, _data, said in EVENTS:
        assert said in " ".join(event_lines(told[code])), code
        assert said.removeprefix("cutover: ") in " ".join(history_lines(told[code])), code
    assert {code for code, _data, _said in EVENTS} - kept == {"cutover_of_another_version"}
    assert "ALERT" in history_lines(told["switch_rolled_back"])[0]


def test_the_command_line_follows_them(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.setattr("stepflow_tui.cli.follow.POLL_SECONDS", 0.001)
    made = asyncio.run(make_run(tmp_path, _fill))
    state = ["--state-dir", str(state_of(tmp_path))]
    assert cli("attach", made.id, "--json", *state) == 1  # no engine holds it
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["event"] for e in events][: len(EVENTS)] == [code for code, _data, _said in EVENTS]
    assert cli("switch", "analytics", made.id, "--json", *state) == 0
    moves = json.loads(capsys.readouterr().out)["moves"]
    assert [move["event"] for move in moves][:2] == ["switch", "switch_rolled_back"]
    assert len(moves) == 5
    assert cli("switch", "show", made.id, *state) == 0
    shown = capsys.readouterr().out
    assert "✗ no engine works on the run" in shown
    assert "no engine works on the run:" in shown.splitlines()[0], "of when the figures are"
    assert cli("status", made.id, *state) == 0
    shown = capsys.readouterr().out
    assert "behind by" not in shown
    assert "rows/s" not in shown
    assert "kept by" not in shown
    assert "no engine works on the run:" in shown
    handle = take_lock(made.path)
    assert cli("status", made.id, *state) == 0
    os.close(handle)
    shown = capsys.readouterr().out
    assert "behind by 1,204 changes, 1.1 s" in shown
    assert "no engine works on the run:" not in shown


def test_a_run_that_went_back_is_at_the_first_step_to_be_done_again() -> None:
    """Steps that were undone are the next ones where their phase is still to come."""
    steps = [
        {"name": "prove", "phase": "validate", "state": "done"},
        {"name": "switch-reads", "phase": "switch_reads", "state": "undone"},
        {"name": "cut-over", "phase": "cutover", "state": "undone"},
        {"name": "clean-up", "phase": "cleanup", "state": "pending"},
    ]
    waiting = {"validate": "done", "switch_reads": "pending", "cutover": "pending", "cleanup": "pending"}
    assert (current_step(steps, waiting) or {})["name"] == "switch-reads"
    undone = {**waiting, "switch_reads": "undone", "cutover": "undone"}
    assert (current_step(steps, undone) or {})["name"] == "clean-up"


def test_what_comes_next_after_going_back() -> None:
    shown = switching().status
    phases = [
        {**p, "steps": [{**s, "state": "undone"} for s in p["steps"]]} if p["name"] == "cutover" else p
        for p in shown["phases"]
    ]
    assert next_line({**shown, "phases": phases}, 100, "…").startswith("Next: stops before Cut over")

"""Which run `stepflow run` means, and steering one that lives: by events awaited, never by time."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

from tests.acceptance import sources
from tests.acceptance.compare import compare
from tests.acceptance.harness import Ran, Stand
from tests.run_kit import until

ROWS = 40_000


def state_of(stand: Stand) -> str:
    """The run's state, straight from the journal."""
    return str(stand.journal("select state from run")[0][0]) if (stand.run_dir / "journal.db").exists() else ""


def slowly(stand: Stand, *args: str) -> subprocess.Popen[str]:
    """A run whose copy takes some seconds; returns once rows arrive."""
    sources.long(stand.source, ROWS)
    stand.config(copy={"max_rows_per_second": 8_000})
    process = stand.start("run", str(stand.config_path), "--json", "--yes", *args)
    copying(stand)
    return process


def copying(stand: Stand) -> None:
    """Wait until a part of the rows is in the target."""
    until(lambda: stand.sql("select to_regclass('_stepflow.ledger') is not null")[0][0], 60)
    until(lambda: stand.sql("select count(*) from _stepflow.ledger where state = 'done'")[0][0], 60)


def error_of(ran: Ran) -> dict[str, Any]:
    """The error a command other than `run` printed."""
    found: dict[str, Any] = ran.object["error"]
    assert found["message"]
    assert found["hint"]
    return found


def test_a_finished_run_is_printed_again(stand: Stand) -> None:
    sources.shop(stand.source)
    first = stand.run()
    target = stand.target_hash()
    again = stand.run()
    assert (first.code, again.code) == (0, 0)
    assert again.last == first.last
    assert stand.target_hash() == target
    assert len(stand.runs) == 1
    new = stand.run("--new")
    assert (new.code, new.errors[0]["code"]) == (4, "target_not_empty")
    assert stand.target_hash() == target
    assert len(stand.runs) == 2


def test_a_finished_run_keeps_its_exit_code(stand: Stand) -> None:
    sources.shop(stand.source, "create table odd(t text)", "insert into odd values(cast(x'6100' as text)),('fine')")
    assert stand.run().code == 5
    again = stand.run()
    assert (again.code, again.last["result"], len(stand.runs)) == (5, "incomplete", 1)


def test_until_a_phase_and_on(stand: Stand) -> None:
    sources.shop(stand.source)
    empty = stand.target_hash()
    first = stand.run("--until", "backfill")
    assert (first.code, first.last["result"]) == (0, "stopped")
    assert stand.target_hash() == empty
    second = stand.run("--until", "validate")
    assert (second.code, second.last["result"], second.last["run"]) == (0, "stopped", first.last["run"])
    assert stand.sql("select count(*) from orders") == [(400,)]
    third = stand.run()
    assert (third.code, third.last["result"], third.last["run"]) == (0, "completed", first.last["run"])
    compare(stand, stand.report())
    absent = stand.run("--until", "cutover", "--new")
    assert (absent.code, absent.errors[0]["code"]) == (2, "no_such_phase")


def test_a_changed_config_is_refused_by_key_once_something_was_changed(stand: Stand) -> None:
    sources.shop(stand.source)
    first = stand.run("--until", "backfill")
    stand.config(tables={"exclude": ["orders"]})
    second = stand.run("--until", "validate")
    assert (second.code, second.last["run"] == first.last["run"]) == (0, False)
    stand.config(tables={"exclude": ["customer"]})
    refused = stand.run()
    assert (refused.code, refused.last["run"]) == (4, None)
    assert refused.errors[0]["code"] == "config_changed"
    assert "tables.exclude" in refused.errors[0]["detail"]
    stand.config(tables={"exclude": ["orders"]})
    assert stand.run().code == 0
    assert [t["source"] for t in stand.report()["tables"]] == ["customer"]


def test_a_second_run_attaches_to_the_living_engine(stand: Stand) -> None:
    process = slowly(stand)
    attached = stand.run()
    first = stand.ended(process)
    assert (first.code, attached.code, len(stand.runs)) == (0, 0, 1)
    assert attached.last == first.last
    assert [e["phase"] for e in attached.of("phase") if e["state"] == "done"] == [
        "prepare",
        "backfill",
        "validate",
        "complete",
    ]


def test_a_plan_is_not_given_to_a_living_engine(stand: Stand) -> None:
    sources.long(stand.source, ROWS)
    stand.config(copy={"max_rows_per_second": 8_000})
    plan = stand.folder / "plan.json"
    assert stand.cli("plan", str(stand.config_path), "--out", str(plan)).code == 0
    process = stand.start("run", str(stand.config_path), "--json", "--yes")
    copying(stand)
    assert stand.run("--plan", str(plan)).errors[0]["code"] == "plan_on_live_engine"
    assert stand.ended(process).code == 0


def test_detached_and_looked_at_from_elsewhere(stand: Stand) -> None:
    sources.long(stand.source, ROWS)
    stand.config(copy={"max_rows_per_second": 8_000})
    ran = stand.cli("run", str(stand.config_path), "--yes", "--detach")
    assert ran.code == 0, ran.err
    status = stand.status()
    assert (status["engine"]["alive"], status["state"]) == (True, "running")
    assert stand.cli("attach", stand.name, "--no-follow", "--json").code == 0
    assert stand.run().code == 0
    assert stand.status()["engine"]["alive"] is False
    compare(stand, stand.report())


def test_pause_and_resume(stand: Stand) -> None:
    process = slowly(stand)
    assert stand.cli("pause", stand.name, "--json").code == 0
    until(lambda: state_of(stand) == "paused", 60)
    rows = stand.sql("select count(*) from items")
    assert stand.status()["state"] == "paused"
    assert stand.sql("select count(*) from items") == rows
    assert len(stand.engines()) == 1
    assert stand.cli("resume", stand.name, "--json").code == 0
    assert stand.ended(process).code == 0
    refused = stand.cli("pause", stand.name, "--json")
    assert refused.code == 4
    assert error_of(refused)
    compare(stand, stand.report())


def test_abort_then_rollback(stand: Stand) -> None:
    sources.long(stand.source, ROWS)
    stand.config(copy={"max_rows_per_second": 8_000})
    before = stand.target_hash()
    process = stand.start("run", str(stand.config_path), "--json", "--yes")
    copying(stand)
    aborted = stand.cli("abort", stand.name, "--yes", "--json")
    assert (aborted.code, aborted.object["state"]) == (0, "aborted")
    ran = stand.ended(process)
    assert (ran.code, ran.last["result"]) == (130, "aborted")
    assert stand.sql("select count(*) > 0 from items") == [(True,)]
    stand.idle()
    back = stand.rollback()
    assert (back.code, back.object["state"]) == (0, "rolled_back"), back.out
    assert stand.target_hash() == before
    assert stand.run().code == 0
    assert len(stand.runs) == 2


def test_production_needs_the_name(stand: Stand) -> None:
    sources.long(stand.source, ROWS)
    stand.config(copy={"max_rows_per_second": 8_000}, environment="production")
    process = stand.start("run", str(stand.config_path), "--json", "--yes")
    copying(stand)
    for args in ((), ("--confirm", "wrong")):
        refused = stand.cli("abort", stand.name, "--yes", "--json", *args)
        assert (refused.code, f"--confirm {stand.name}" in error_of(refused)["hint"]) == (6, True)
    assert stand.cli("abort", stand.name, "--yes", "--confirm", stand.name, "--json").code == 0
    assert stand.ended(process).code == 130


def test_tick_then_continue(stand: Stand) -> None:
    sources.shop(stand.source)
    stand.config(checklist={"before": [{"id": "call-ann", "title": "call Ann"}]})
    waiting = stand.run(yes=False)
    assert (waiting.code, waiting.last["result"]) == (6, "waiting")
    assert stand.cli("tick", stand.name, "call-ann", "--note", "she knows", "--json").code == 0
    item = next(i for i in stand.report()["checklist"] if i["id"] == "call-ann")
    assert (item["state"], item["note"]) == ("ticked", "she knows")
    assert item["by"]
    assert stand.cli("continue", stand.name, "--yes", "--json").code == 0
    until(lambda: state_of(stand) == "completed", 120)
    stand.idle()
    assert stand.run().code == 0
    compare(stand, stand.report())


def test_sigterm_on_the_engine_stops_at_a_checkpoint(stand: Stand) -> None:
    process = slowly(stand)
    (engine,) = stand.engines()
    engine.terminate()
    ran = stand.ended(process)
    assert (ran.code, ran.last["result"]) == (143, "stopped")
    kept = stand.sql("select count(*) from items")[0][0]
    assert 0 < kept < ROWS
    again = stand.run()
    assert (again.code, again.last["run"]) == (0, ran.last["run"])
    compare(stand, stand.report())


def test_a_front_end_that_leaves_takes_nothing_along(stand: Stand) -> None:
    process = slowly(stand)
    os.kill(process.pid, signal.SIGINT)
    left = stand.ended(process)
    assert (left.code, left.last["event"], left.last["exit_code"]) == (130, "run_finished", 130)
    assert stand.run().code == 0
    compare(stand, stand.report())

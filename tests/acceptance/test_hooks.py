"""Hooks in whole runs: in the plan, around the phases, in the report; a failing one, the way back, and no secret anywhere."""

from __future__ import annotations

import contextlib
import json
import sqlite3

from tests.acceptance import sources
from tests.acceptance.harness import Stand

CANARY = "c4nary-geheim-hook"


def both(name: str, **more: object) -> dict[str, object]:
    """A hook that writes down when it is run and when it is undone."""
    return {"run": f"echo {name} >> log; echo said by {name}", "undo": f"echo un{name} >> log", **more}


HOOKS = {
    "prepare": {"before": [both("freeze")]},
    "backfill": {"before": [both("b1"), both("b2")], "after": [both("a1")]},
    "capture": {"before": [both("never")]},
    "complete": {"after": [both("thaw", env={"TOKEN": CANARY})]},
}


def objects(stand: Stand) -> list[tuple[str, ...]]:
    """The source's catalog."""
    with contextlib.closing(sqlite3.connect(stand.source)) as conn:
        return conn.execute("select type, name, tbl_name, sql from sqlite_schema order by rowid").fetchall()


def log(stand: Stand) -> list[str]:
    return (stand.folder / "log").read_text(encoding="utf-8").split()


def test_a_run_with_hooks_there_and_back(stand: Stand) -> None:
    sources.shop(stand.source)
    stand.config(hooks=HOOKS)
    planned = stand.cli("plan", str(stand.config_path), "--json", "--out", str(stand.folder / "plan.json"))
    assert planned.code == 0, planned.err
    phases = {p["name"]: [s["name"] for s in p["steps"]] for p in planned.object["phases"]}
    assert phases["backfill"][:2] == ["hook-before-1", "hook-before-2"]
    assert phases["backfill"][-1] == phases["complete"][-1] == "hook-after-1"
    assert not (stand.folder / "log").exists()
    ran = stand.run("--plan", str(stand.folder / "plan.json"))
    assert (ran.code, ran.last["result"]) == (0, "completed"), ran.out
    assert log(stand) == ["freeze", "b1", "b2", "a1", "thaw"]
    [unused] = [f for f in ran.of("finding") if f["code"] == "config_not_used"]
    assert unused["object"] == "hooks.capture"
    steps = {s["name"]: s for p in stand.status()["phases"] for s in p["steps"]}
    assert (steps["hook-before-2"]["title"], steps["hook-before-2"]["state"]) == ("Hook 2 before the phase", "done")
    back = stand.rollback()
    assert (back.code, back.object["state"]) == (0, "rolled_back"), back.out
    assert log(stand)[5:] == ["unthaw", "una1", "unb2", "unb1", "unfreeze"]
    kept = [f for f in stand.state.rglob("*") if f.is_file() and CANARY.encode() in f.read_bytes()]
    assert kept == []


def test_a_failing_hook_stops_the_run_at_its_gate(stand: Stand) -> None:
    sources.shop(stand.source)
    failing = {"run": "echo it is not ready; test -e ready", "undo": "echo undone >> log"}
    stand.config(hooks={"validate": {"before": [failing]}})
    ran = stand.run()
    assert (ran.code, ran.last["result"]) == (1, "failed")
    [error] = ran.errors
    assert (error["code"], error["detail"]) == ("hook_failed", "it is not ready")
    assert log(stand) == ["undone"]
    states = {p["name"]: p["state"] for p in stand.status()["phases"]}
    assert (states["backfill"], states["validate"], states["complete"]) == ("done", "failed", "pending")
    (stand.folder / "ready").touch()
    again = stand.run()
    assert (again.code, again.last["result"]) == (0, "completed"), again.out
    assert log(stand) == ["undone"]


PHASES = ("prepare", "capture", "backfill", "validate", "switch_reads")


def test_a_live_run_with_hooks_up_to_the_cutover_and_back(stand: Stand) -> None:
    sources.shop(stand.source)
    hooks = {p: {"before": [both(f"{p}-b")], "after": [both(f"{p}-a")]} for p in PHASES}
    stand.config(mode="live", hooks=hooks, verify={"level": "detailed"}, switch={"steps": [100], "soak": "0"})
    before = objects(stand)
    ran = stand.run("--until", "cutover")
    assert (ran.code, ran.last["result"]) == (0, "stopped"), ran.out
    assert log(stand) == [f"{p}-{side}" for p in PHASES for side in "ba"]
    status = stand.status()
    assert status["wal"]["mode"] == "rollback", "the source was watched from capture on"
    assert {a["code"] for a in status["alerts"]} == set()
    back = stand.rollback()
    assert (back.code, back.object["state"]) == (0, "rolled_back"), back.out
    assert log(stand)[10:] == [f"un{p}-{side}" for p in reversed(PHASES) for side in "ab"]
    assert objects(stand) == before


def test_another_command_does_not_slip_into_a_run_that_has_begun(stand: Stand) -> None:
    sources.shop(stand.source)
    stand.config(hooks={"validate": {"before": [{"run": "false"}]}})
    assert stand.run().code == 1
    stand.config(hooks={"validate": {"before": [{"run": "true"}]}})
    refused = stand.run()
    assert refused.code == 4
    assert "hooks" in json.dumps(refused.errors or refused.last) + refused.out
    stand.config(hooks={"validate": {"before": [{"run": "false", "undo": "true", "timeout": "5s"}]}})
    assert stand.run().code == 1, "how it is undone, and how long it may take, may be corrected"

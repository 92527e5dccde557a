"""A whole run, killed wherever it can be killed, again and again: it ends equal, with no row twice and none missing."""

from __future__ import annotations

import ast
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stepflow_tui.engine.journal.launch import StartLine, launch
from stepflow_tui.engine.journal.rundir import engine_alive
from tests.acceptance import sources
from tests.acceptance.compare import compare
from tests.acceptance.harness import ROOT, Ran, Stand, standing
from tests.run_kit import until

PACKAGE = ROOT / "stepflow_tui"
FORWARD = ("before_intent", "after_intent", "after_effect", "after_done")
PROBED = {"backup", "plan"}
"""Steps that a look proves to be done: a resuming engine does not pass their places again."""
MOST_KILLS = 200


@pytest.fixture
def stand(tmp_path: Path, pg_dsn: str) -> Iterator[Stand]:
    with standing(tmp_path, pg_dsn) as made:
        yield made


LIVE = (
    "freeze_",
    "restore_",
    "application_",
    "settings_",
    "recipe_",
    "back_",
    "capture_",
    "changelog_",
    "fence_",
    "gate_",
    "mend_",
    "offline_",
    "recopy_",
    "return_",
    "reverse_",
    "tail_",
    "wal_",
)
"""Failpoints of live runs, of conversions in place and of restores, which a copy does not pass: the suites of these parts kill there."""


def names_in_sources() -> set[str]:
    """Every failpoint's name, read from the sources."""
    found: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
                (name,) = node.args
                assert isinstance(name, ast.Constant), f"{file}: failpoints have literal names"
                found.add(str(name.value))
    return found


def armed(place: str, log: Path | None = None) -> dict[str, str]:
    """The environment that kills a process at a place."""
    return {"STEPFLOW_FAILPOINT": f"{place}:kill"} | ({"STEPFLOW_FAILPOINT_LOG": str(log)} if log else {})


def next_step(stand: Stand) -> str:
    """The first step that is not journalled as done, "" when all are."""
    if not stand.runs:
        return "preflight"
    rows = stand.journal(
        "select name, state from step order by (select ord from phase where phase.name = step.phase), ord"
    )
    return next((name for name, state in rows if state != "done"), "")


def ends_equal(stand: Stand, ran: Ran) -> None:
    """What every test here demands of the run that comes last."""
    assert ran.code == 0, ran.out
    compare(stand, stand.report())


def two_ways(path: Path) -> Path:
    """A source whose copy has several segments of both ways, and every stage something to make."""
    return sources.shop(
        path, "create table odd(id integer primary key, v)", "insert into odd values(1,1),(2,'two'),(3,3.5),(4,null)"
    )


def killed(stand: Stand, place: str, log: Path) -> bool:
    """Start an engine that dies at a place; whether it did, or ended before it came there.

    It is started as `run` starts it, without the command line around it: that one only waits and looks.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in armed(place, log).items():
            patch.setenv(name, value)
        line = StartLine(config=str(stand.config_path), env={"TARGET_DSN": stand.dsn}, yes=True, who="tester")
        launch(stand.run_dir, line)
    until(lambda: not engine_alive(stand.run_dir), 120)
    ((result,),) = stand.journal("select result from run")
    return result is None


def test_killed_at_every_place_of_every_step(stand: Stand, tmp_path: Path) -> None:
    """One run, killed three or four times in each of its steps: every kill but the first hits an engine that was resuming."""
    two_ways(stand.source)
    before, log = stand.source_hash(), tmp_path / "passed"
    first = stand.run(env=armed("before_intent:1", log))
    assert (first.code, first.errors[-1]["code"]) == (1, "engine_lost")
    hit = {("before_intent", "preflight")}
    for _ in range(MOST_KILLS):
        step = next_step(stand)
        fresh = (p for p in FORWARD if (p, step) not in hit and not (p == "after_done" and step in PROBED))
        place = next(fresh, "before_intent")
        if not killed(stand, f"{place}:1", log):
            break
        hit.add((place, step))
    last = stand.run()
    assert (last.code, last.last["result"], last.last["run"]) == (0, "completed", first.last["run"])
    assert stand.source_hash() == before
    compare(stand, stand.report())
    steps = {name for (name,) in stand.journal("select name from step")}
    assert {s for p, s in hit if p == "after_intent"} == steps
    assert {s for p, s in hit if p == "after_effect"} == steps
    assert {s for p, s in hit if p == "after_done"} == steps - PROBED
    assert stand.cli("audit", "verify", stand.name).code == 0


def test_killed_around_every_segment(stand: Stand, tmp_path: Path) -> None:
    """Every process that writes rows is killed: before each commit nothing gets done, after each commit everything does."""
    two_ways(stand.source)
    log = tmp_path / "passed"
    ran = stand.run(env=armed("segment_ingested:1", log))
    assert (ran.code, ran.errors[-1]["code"]) == (1, "worker_lost")
    assert stand.sql("select (select count(*) from customer) + (select count(*) from odd)") == [(0,)]
    again = stand.run(env=armed("segment_committed:1", log))
    assert (again.code, again.last["run"]) == (0, ran.last["run"]), again.out
    assert log.read_text().count("segment_committed:1") == log.read_text().count("segment_committed") > 2
    compare(stand, stand.report())


def test_killed_while_going_back(stand: Stand, tmp_path: Path) -> None:
    two_ways(stand.source)
    before = stand.target_hash()
    log = tmp_path / "passed"
    assert stand.run(env={"STEPFLOW_FAILPOINT_LOG": str(log)}).code == 0
    first = stand.rollback(env=armed("before_undo:1", log))
    assert first.code == 1, first.out
    stand.idle()
    kills = 0
    while killed(stand, ("before_undo:2", "after_undo:1", "after_undo:2")[kills % 3], log):
        kills += 1
        assert kills < MOST_KILLS
    assert kills > 6
    last = stand.run("--until", "backfill")
    assert (last.code, len(stand.runs)) == (0, 2), "it was rolled back: a new run begins"
    assert stand.target_hash() == before
    passed = {line.split(":")[0] for line in log.read_text().split()}
    assert {n for n in names_in_sources() if not n.startswith(LIVE)} - passed == set()


def test_what_was_copied_before_the_kill_is_not_copied_again(stand: Stand) -> None:
    sources.long(stand.source, 40_000)
    stand.config(copy={"max_rows_per_second": 8_000})
    process = stand.start("run", str(stand.config_path), "--json", "--yes")
    until(lambda: stand.sql("select to_regclass('_stepflow.ledger') is not null")[0][0], 60)
    until(lambda: stand.sql("select count(*) from _stepflow.ledger where state = 'done'")[0][0] > 1, 60)
    (engine,) = stand.engines()
    engine.kill()
    assert stand.ended(process).errors[-1]["code"] == "engine_lost"
    until(
        lambda: (
            not stand.sql(
                "select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
            )
            or None
        ),
        60,
    )
    kept = set(stand.sql("select id, xmin::text from items"))
    assert 0 < len(kept) < 40_000
    assert stand.run().code == 0
    assert kept - set(stand.sql("select id, xmin::text from items")) == set(), "rows that were there were written again"
    compare(stand, stand.report())


def test_a_worker_killed_from_outside(stand: Stand) -> None:
    sources.long(stand.source, 40_000)
    stand.config(copy={"max_rows_per_second": 8_000})
    process = stand.start("run", str(stand.config_path), "--json", "--yes")
    until(lambda: stand.sql("select to_regclass('_stepflow.ledger') is not null")[0][0], 60)
    until(lambda: stand.sql("select count(*) from _stepflow.ledger where state = 'done'")[0][0], 60)
    (engine,) = stand.engines()
    killed = []
    for worker in psutil.Process(engine.pid).children():
        if "stepflow_tui.engine.bulk.worker" not in " ".join(worker.cmdline()):
            continue
        os.kill(worker.pid, signal.SIGKILL)
        killed.append(worker.pid)
    assert killed
    assert stand.ended(process).code == 0, "others take the work over"
    compare(stand, stand.report())


def test_without_the_ledger_s_guard_the_kill_would_be_noticed(stand: Stand) -> None:
    """A negative control: the same kill, with the guard taken out, must not end equal."""
    two_ways(stand.source)
    stand.env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).with_name("without_ledger")), str(ROOT)])
    ran = stand.run(env=armed("rows_without_ledger:1"))
    assert (ran.code, ran.errors[-1]["code"]) == (1, "worker_lost")
    again = stand.run()
    with pytest.raises(AssertionError):
        ends_equal(stand, again)

"""What the contract says about starting, asking, noting and going back, looked at from outside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand, standing


@pytest.fixture
def stand(tmp_path: Path, pg_dsn: str) -> Iterator[Stand]:
    with standing(tmp_path, pg_dsn) as made:
        yield made


def _source(
    stand: Stand, script: str = "create table t(id integer primary key, s text); insert into t values(1,'x')"
) -> None:
    with closing(sqlite3.connect(stand.source)) as lite:
        lite.executescript(script)


def test_an_unanswered_gate_names_the_flag(stand: Stand) -> None:
    _source(stand)
    asked = stand.run(yes=False)
    assert (asked.code, asked.last["result"]) == (6, "waiting")
    assert [e["code"] for e in asked.errors] == ["needs_confirmation"]
    assert "--yes" in asked.errors[0]["hint"]
    assert stand.report()["result"] == "waiting"


def test_until_and_plan_are_looked_at_before_a_finished_run_answers(stand: Stand) -> None:
    _source(stand)
    mine, other = str(stand.folder / "mine.json"), str(stand.folder / "other.json")
    config = str(stand.config_path)
    assert stand.cli("plan", config, "--out", mine).code == 0
    stand.config(types={"by_column": {"t": {"s": "varchar(5)"}}})
    assert stand.cli("plan", config, "--out", other).code == 0
    stand.config()
    assert stand.run().code == 0
    assert stand.run("--until", "cleanup").code == 2
    assert stand.run("--plan", str(stand.folder / "none.json")).code == 2
    assert stand.run("--plan", mine).code == 0
    refused = stand.run("--plan", other)
    assert (refused.code, refused.errors[0]["code"], len(stand.runs)) == (4, "plan_drift", 1)


def test_notes_stand_in_the_report_and_acting_commands_take_yes(stand: Stand) -> None:
    _source(stand)
    assert stand.run("--until", "backfill").code == 0
    assert stand.cli("note", stand.name, "seen by nobody else", "--yes", "--confirm", stand.name).code == 0
    assert [n["text"] for n in stand.report()["notes"]] == ["seen by nobody else"]
    assert stand.cli("init", "sqlite-to-postgres", "--source", "a.db", "-o", "new.yaml", "--read-only").code == 2
    assert (
        stand.cli("init", "sqlite-to-postgres", "-o", "new.yaml", "--yes", "--json").object["error"]["exit_code"] == 6
    )
    assert stand.cli("check", str(stand.config_path), "--yes", "--confirm", stand.name).code == 0


def test_what_a_verification_saw_is_no_proof_that_rows_are_ours(stand: Stand) -> None:
    _source(
        stand, "create table t(id integer primary key, s text); insert into t values(1,'x'); create table u(a integer)"
    )
    assert stand.run("--until", "validate").code == 0
    stand.sql("insert into t values(2,'somebody else''s')", "select 1")
    assert stand.run().code == 5
    assert stand.rollback().code == 0
    assert stand.sql("select s from _stepflow_old_t order by id") == [("x",), ("somebody else's",)]
    tables = {t["source"]: t for t in stand.report()["tables"]}
    assert "set aside as _stepflow_old_t" in tables["t"]["reason"]
    assert (tables["u"]["verified"], tables["u"]["target_rows"]) == ("not_verified", None)
    assert stand.status()["phase"] == "prepare"


def test_a_file_of_zero_bytes_is_nothing_to_migrate_and_nothing_that_differs(stand: Stand) -> None:
    stand.source.touch()
    assert stand.run().code == 0
    assert [f["code"] for f in stand.report()["findings"] if f["severity"] == "warning"] == ["source_empty"]
    assert stand.cli("verify", str(stand.config_path), "--json").object["tables"] == []
    assert stand.cli("plan", str(stand.config_path), "--json").code == 0


def test_a_lost_engine_can_be_acknowledged_and_is_told_once(stand: Stand) -> None:
    _source(
        stand,
        "create table t(id integer primary key); insert into t"
        " with recursive n(i) as (select 1 union all select i+1 from n where i<20000) select i from n",
    )
    stand.config(copy={"max_rows_per_second": 2000})
    engine = stand.start("run", str(stand.config_path), "--yes", "--json")
    assert engine.stdout is not None
    assert any('"step": "copy"' in line for line in engine.stdout)
    for process in stand.engines():
        process.kill()
    assert stand.ended(engine).code == 1
    acked = stand.cli("alerts", "ack", stand.name, "engine_lost", "--note", "power cut", "--json")
    assert acked.object["answer"] == {"acknowledged": 1}
    stand.idle()
    stand.config(copy={"max_rows_per_second": None})
    again = stand.run()
    assert (again.code, again.events[0]["event"]) == (0, "run_started")
    alerts = [a for a in stand.report()["alerts"] if a["code"] == "engine_lost"]
    assert [a["note"] for a in alerts] == ["power cut"]
    assert all(a["cleared"] for a in stand.report()["alerts"])

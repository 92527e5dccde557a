"""What only looks changes nothing: `check`, `plan`, `verify`, `status` and `report` leave source and target as they were."""

from __future__ import annotations

import sqlite3

import pytest

from tests.acceptance import sources
from tests.acceptance.harness import Stand


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_looking_changes_nothing(mode: str, stand: Stand) -> None:
    sources.shop(stand.source, f"pragma journal_mode={mode}")
    config = str(stand.config_path)
    before = stand.source_hash(), stand.target_hash()
    for args in (
        ("check", config),
        ("plan", config, "--sql"),
        ("plan", config, "--json", "--out", str(stand.folder / "p.json")),
    ):
        assert stand.cli(*args).code == 0
        assert (stand.source_hash(), stand.target_hash()) == before, args
    assert stand.run().code == 0
    after = before[0], stand.target_hash()
    for args in (("check", config), ("verify", config, "--json"), ("verify", config, "--level", "basic"), ("verify", config, "--repair", "plan"),
                 ("status", stand.name), ("report", stand.name), ("attach", stand.name, "--no-follow"), ("runs",), ("doctor",)):  # fmt: skip
        ran = stand.cli(*args)
        assert ran.code == (4 if args[0] == "check" else 0), ran.out + ran.err
        assert (stand.source_hash(), stand.target_hash()) == after, args
    assert {t["verified"] for t in stand.cli("verify", config, "--json").object["tables"]} == {"equal"}


def test_verify_names_a_difference_and_leaves_it(stand: Stand) -> None:
    sources.shop(stand.source)
    assert stand.run().code == 0
    stand.sql("update orders set total = total + 1 where id = 7", "select 1")
    target = stand.target_hash()
    ran = stand.cli("verify", str(stand.config_path), "--json", "--repair", "plan")
    assert ran.code == 5
    (found,) = ran.object["discrepancies"]
    assert (found["table"], found["key"], found["column"]) == ("orders", {"id": 7}, "total")
    assert found["repair_sql"].startswith("update")
    assert stand.target_hash() == target
    repaired = stand.cli("verify", str(stand.config_path), "--json", "--repair", "apply", "--yes")
    assert repaired.code == 0, repaired.out + repaired.err
    assert stand.sql("select total::text from orders where id = 7") == [("1.75",)]


def test_a_source_that_changed_during_the_run_is_never_called_equal(stand: Stand) -> None:
    sources.shop(stand.source)
    assert stand.run("--until", "validate").code == 0
    with sqlite3.connect(stand.source) as conn:
        conn.execute("insert into customer values(99999,'late@example.org',null)")
    conn.close()
    ran = stand.run()
    report = stand.report()
    assert (ran.code, ran.last["result"], report["source_changed"]) == (5, "incomplete", True)
    told = {t["source"]: t for t in report["tables"]}
    assert (told["customer"]["verified"], told["orders"]["verified"]) == ("different", "equal")
    assert told["orders"]["as_of"]

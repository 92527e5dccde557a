"""What the status, and the panel made from it, say of tables whose rows are arriving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.render.tables import Standing, table_rows, tables_summary
from tests.run_kit import bench, book


async def test_a_table_that_is_being_copied_tells_how_far_it_is(tmp_path: Path) -> None:
    async with bench(tmp_path, book()) as b:
        await b.journal.executemany(
            "INSERT INTO tbl(source,ord,target,state,verified,source_rows,target_rows) VALUES(?,?,?,?,'not_verified',?,?)",
            [
                ("arriving", 1, "public.arriving", "copying", 1_000, None),
                ("next", 2, "public.next", "copying", 500, None),
                ("there", 3, "public.there", "copied", 20, 20),
            ],
        )
        await b.journal.executemany(
            "INSERT INTO progress(step,item,done,total,unit,eta_state,throttle,rev) VALUES(?,?,?,?,'rows','measuring','',1)",
            [
                ("copy", "", 420, 1_520),
                ("copy", "arriving", 400, 1_000),
                ("copy", "there", 20, 20),
                ("verify", "next", 9, 9),
            ],
        )
        with RunReader(b.ctx.run_dir) as reader:
            status = reader.status() | {"state": "running"}
    tables = status["tables"]
    assert [(t["source"], t["target_rows"], t["done_rows"], t["diff"]) for t in tables] == [
        ("arriving", None, 400, None),
        ("next", None, None, None),
        ("there", 20, None, 0),
    ]
    shown = {row.source: row for row in table_rows(status)}
    assert (shown["arriving"].target_rows, shown["arriving"].diff, shown["arriving"].word) == ("~400", "-", "copying")
    assert (shown["next"].target_rows, shown["next"].word) == ("-", "pending")
    assert shown["next"].standing is Standing.WAITING
    assert (shown["there"].target_rows, shown["there"].diff) == ("20", "0")


def test_rows_that_arrive_are_no_difference() -> None:
    table: dict[str, Any] = {
        "source": "t",
        "target": "public.t",
        "source_rows": 10,
        "target_rows": None,
        "done_rows": 3,
        "diff": None,
        "state": "copying",
    }
    rows = table_rows({"state": "running", "tables": [table]})
    assert (rows[0].standing, rows[0].word) == (Standing.RUNNING, "copying")
    assert tables_summary(rows, None) == ["1 table", "not compared yet"]


def test_nobody_copies_after_the_end() -> None:
    table = {
        "source": "t",
        "target": "public.t",
        "source_rows": 10,
        "target_rows": None,
        "diff": None,
        "state": "copying",
    }
    (row,) = table_rows({"state": "failed", "tables": [table]})
    assert (row.standing, row.word) == (Standing.UNSURE, "not finished")

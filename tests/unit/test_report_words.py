"""Figures as people read them: phases in the order in which they go on, and no powers of ten."""

from __future__ import annotations

from stepflow_tui.engine.report import html, markdown
from stepflow_tui.engine.report.in_place import limit_rows
from stepflow_tui.engine.report.markdown import availability_rows
from stepflow_tui.render.live import filled


def test_availability_is_told_in_the_order_of_the_phases() -> None:
    figures = {"requests": 1, "failed": 0}
    report = {"availability": dict.fromkeys(("backfill", "cutover", "prepare", "rollback", "validate"), figures)}
    told = [row[0] for row in availability_rows(report)]
    assert told == ["prepare", "backfill", "validate", "cutover", "rollback", "all"]


def test_long_times_are_whole_seconds() -> None:
    table = {"began": "{window} s; {predicted} s"}
    assert filled(table, "began", {"window": 1800.0, "predicted": 10.52}) == "1,800 s; 10.5 s"


def test_where_the_database_stays_there_is_no_target_to_speak_of() -> None:
    row = {
        "source": "orders", "target": "main.orders", "source_rows": 5, "target_rows": 5, "rejected_rows": 0,
        "verified": "equal", "reason": "", "digest_target": "ab", "copy_seconds": None,
    }  # fmt: skip
    told = {"tables": [row], "objects": [], "result": "aborted", "exit_code": 1}
    moved, stays = ({**told, "kind": kind} for kind in ("sqlite-to-postgres", "sqlite-wal"))
    for module in (markdown, html):
        assert "target rows" in module._tables(moved)
        assert "target" not in module._tables(stays)
        assert "rows after" in module._tables(stays)
    assert "dropped" in markdown.headline(moved)
    assert "keeps the mode" in markdown.headline(stays)


def test_limits_of_the_benchmark_have_units_of_people() -> None:
    verdicts = [
        {"name": "p95", "limit": 0.005, "figure": 2.42e-05, "unit": "seconds", "state": "met"},
        {"name": "errors", "limit": 0.01, "figure": None, "unit": "share", "state": "not_measured"},
        {"name": "clients", "limit": 20, "figure": 20.0, "unit": "clients", "state": "met"},
    ]
    rows = [row[1:3] for row in limit_rows({"benchmark": {"verdicts": verdicts}})]
    assert rows == [("5 ms", "0.0242 ms"), ("1.00 %", ""), ("20", "20")]

"""Figures as people read them: phases in the order in which they go on, and no powers of ten."""

from __future__ import annotations

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

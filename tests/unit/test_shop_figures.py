"""What the demo tells of its shop, and how it ends when something acknowledged is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.cli import demo_live
from stepflow_tui.demo.names import COUNTERS
from stepflow_tui.render.shop import is_right, shop_line, shop_report

GOOD: dict[str, Any] = {
    "writes": {"sqlite": 1200, "postgresql": 34}, "reads": {"sqlite": 3000, "postgresql": 100}, "acknowledged": 1234,
    "read_errors": 0, "write_errors": 2, "longest_wait_ms": 512.4, "lost": 0, "wrong": 0, "ended": True,
}  # fmt: skip


def test_the_figures_of_a_shop() -> None:
    assert list(shop_report(GOOD)) == [
        "acknowledged writes: 1,234 (1,200 in SQLite, 34 in PostgreSQL)",
        "reads: 3,100 (3,000 from SQLite, 100 from PostgreSQL), 0 failed",
        "longest wait for a write: 0.5 s; 2 failed",
        "acknowledged writes lost: 0",
    ]
    assert shop_line(GOOD) == "shop: 1,234 writes acknowledged, lost: 0"
    assert shop_line(GOOD | {"lost": None}) == "shop: 1,234 writes acknowledged, lost: not counted yet"


def test_no_shop_no_words() -> None:
    assert (list(shop_report({})), shop_line({})) == ([], "")


@pytest.mark.parametrize(
    ("figures", "line"),
    [({"lost": 3}, "acknowledged writes lost: 3"), ({"wrong": 2}, "2 orders are there twice"), ({"ended": False}, "NOT CHECKED")],
)  # fmt: skip
@pytest.mark.parametrize(("before", "after"), [(0, 5), (4, 4), (130, 130)])
def test_a_shop_that_misses_something_is_never_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], figures: dict[str, Any], line: str, before: int, after: int
) -> None:
    (tmp_path / COUNTERS).write_text(json.dumps(GOOD | figures))
    assert not is_right(GOOD | figures)
    assert demo_live.close_shop(tmp_path / "stepflow.yaml", before) == after
    assert line in capsys.readouterr().err


def test_a_shop_that_misses_nothing_leaves_the_run_its_result(tmp_path: Path) -> None:
    (tmp_path / COUNTERS).write_text(json.dumps(GOOD))
    assert [demo_live.close_shop(tmp_path / "stepflow.yaml", code) for code in (0, 5)] == [0, 5]
    assert demo_live.close_shop(tmp_path / "nowhere" / "stepflow.yaml", 0) == 0

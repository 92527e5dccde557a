"""Reading the journal in pages: forwards, backwards, filtered; differences and rejects of one table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.events import EventCode
from tests.tui.run_rows import difference, make_run, many_events, reject, verdict


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[RunReader]:
    """A run with twelve events and rows of two tables."""

    async def write(journal: Journal) -> None:
        await many_events(journal, 8)
        await journal.event(EventCode.STEP, {"phase": "backfill", "step": "copy", "state": "running"}, step="copy")
        await verdict(journal, "orders", [difference("orders", n, "a", "100%_b") for n in range(2)])
        await verdict(journal, "items", [difference("items", 9, "客户", "b")])
        await reject(journal, "orders", 99, "no")

    run = await make_run(tmp_path, write, "orders", "items")
    with RunReader(run.path) as reader:
        yield reader


def seqs(rows: list[dict[str, object]]) -> list[object]:
    return [row["seq"] for row in rows]


async def test_pages_forwards_and_backwards(reader: RunReader) -> None:
    assert seqs(reader.history(limit=3)) == [10, 11, 12]
    assert seqs(reader.history(before=10, limit=3)) == [7, 8, 9]
    assert seqs(reader.history(after=0, limit=3)) == [1, 2, 3]
    assert seqs(reader.history(after=12)) == []
    assert seqs(reader.history(before=1)) == []


async def test_filters_take_texts_literally(reader: RunReader) -> None:
    assert seqs(reader.history(codes=("step", "discrepancy"), limit=10)) == [9, 10, 11, 12]
    assert seqs(reader.history(text="NOTE 3")) == [4]
    assert seqs(reader.history(text="100%_")) == [10, 11]
    assert seqs(reader.history(text="1%b")) == []
    assert seqs(reader.history(text="客户")) == [12]
    assert seqs(reader.history(after=9, text="changed", codes=("discrepancy",))) == [10, 11, 12]


async def test_what_is_named_counts_as_holding_a_text(reader: RunReader) -> None:
    assert seqs(reader.history(text="复制", named=[("step", "step", ["copy", "verify"])])) == [9]
    assert seqs(reader.history(text="复制", named=[("step", "step", ["verify"])])) == []
    assert seqs(reader.history(text="客户", named=[("step", "", [])])) == [9, 12]


async def test_rows_of_one_table(reader: RunReader) -> None:
    assert reader.difference_counts() == (3, 1)
    assert reader.difference_counts("orders") == (2, 1)
    assert reader.difference_counts("none") == (0, 0)
    assert [r["key"] for r in reader.discrepancies(1, table="orders", offset=1)] == [{"id": 1}]
    assert [r["tbl"] for r in reader.discrepancies()] == ["orders", "orders", "items"]
    assert [r["tbl"] for r in reader.rejects(table="items")] == []
    assert len(reader.rejects()) == 1


async def test_the_status_tells_how_a_table_was_compared(reader: RunReader) -> None:
    status = reader.status()
    assert status["level"] == "detailed"
    orders = status["tables"][0]
    assert (orders["verified"], orders["rejected_rows"], orders["as_of"]) == (
        "different",
        1,
        "2026-11-22T12:04:31.000Z",
    )

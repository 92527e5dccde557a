"""Segments cover a table without gap or overlap, whatever its keys are, in both modes."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepflow_tui.engine.bulk.bounds import key_from_json, key_json
from stepflow_tui.engine.bulk.segments import plan_segments, rows_per_segment
from stepflow_tui.engine.bulk.spec import make_spec
from stepflow_tui.engine.model.plan import ColumnFacts, TableFacts
from stepflow_tui.engine.model.types import ColumnType, Kind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.postgres.ledger import Mode
from tests.copy_kit import BLOB, INTEGER, TEXT, count_facts, make_file, plan_table

TINY_RATE = 10  # rows per second: segments of three rows

KEYS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-5, 5),
    st.text(max_size=4),
    st.binary(max_size=3),
    st.floats(allow_nan=False),
)


def covered(path: Path, table: str, types: dict[str, ColumnType], encoding: str) -> tuple[Counter[str], int, int]:
    """How often each row is read through all segments; the table's rows; the number of segments."""
    plan = plan_table(path, table, types)
    facts = count_facts(path, plan, utf16=encoding != "UTF-8")
    spec = make_spec(plan, facts, encoding=encoding, batch_rows=9)
    segments = plan_segments(path, plan, facts, encoding=encoding, max_rows_per_second=TINY_RATE)
    connection = sqlite3.connect(path)
    identity = "||'|'||".join(f"quote({lite_ident(c)})" for c in plan.walk.columns) or "quote(x)"
    seen: Counter[str] = Counter()
    for segment in segments:
        lo, hi = (key_from_json(key_json(bound)) for bound in (segment.lo, segment.hi))
        assert (lo, hi) == (segment.lo, segment.hi)
        source = spec.slow_from(lo, hi, resent=segment.mode is Mode.FAST)
        seen.update(row[0] for row in connection.execute(f"select {identity} {source}"))
    total = connection.execute(f"select count(*) from {lite_ident(table)}").fetchone()[0]
    connection.close()
    return seen, total, len(segments)


@settings(max_examples=80, deadline=None)
@given(
    keys=st.lists(st.tuples(KEYS, KEYS), max_size=30),
    declared=st.sampled_from(["", "text", "integer", "numeric", "blob", "text collate nocase", "text collate rtrim"]),
    order=st.sampled_from(["a, b", "b, a", "a desc, b", "a"]),
    encoding=st.sampled_from(["UTF-8", "UTF-16le"]),
)
def test_any_primary_key_is_covered_once(keys: list[tuple[Any, Any]], declared: str, order: str, encoding: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "k.db")
        make_file(
            path,
            f"create table t(a {declared}, b {declared}, x text, primary key({order})) without rowid",
            encoding=encoding,
        )
        connection = sqlite3.connect(path)
        connection.executemany(
            "insert or ignore into t values (?, ?, ?)", [(*key, i if i % 4 else b"odd") for i, key in enumerate(keys)]
        )
        connection.commit()
        connection.close()
        seen, total, _ = covered(path, "t", {"a": BLOB, "b": BLOB, "x": TEXT}, encoding)
        assert sum(seen.values()) == total
        assert set(seen.values()) <= {1}


@settings(max_examples=60, deadline=None)
@given(
    keys=st.sets(st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-20, 20)), max_size=40),
    odd=st.sets(st.integers(0, 39)),
)
def test_any_rowids_are_covered_once(keys: set[int], odd: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "r.db")
        rows = [(key, b"blob" if i in odd else "text") for i, key in enumerate(sorted(keys))]
        make_file(path, "create table t(id integer primary key, x text)", {"t": rows})
        seen, total, segments = covered(path, "t", {"id": INTEGER, "x": TEXT}, "UTF-8")
        assert sum(seen.values()) == total == len(keys)
        assert set(seen.values()) <= {1}
        assert segments >= len(keys) // 3


def test_the_outermost_rowids_lie_in_the_outermost_segments(tmp_path: Path) -> None:
    rows = [(key, "x") for key in (-(2**63), -(2**63) + 1, -1, 0, 1, 2**63 - 2, 2**63 - 1)]
    path = make_file(tmp_path / "edge.db", "create table t(id integer primary key, x text)", {"t": rows})
    seen, total, segments = covered(path, "t", {"id": INTEGER, "x": TEXT}, "UTF-8")
    assert (sum(seen.values()), total, segments) == (7, 7, 3)


@pytest.mark.parametrize(
    ("columns", "walk", "segments"),
    [
        ("rowid text, x text", ("_rowid_",), 4),
        ("rowid text, _rowid_ text, x text", ("oid",), 4),
        ("ROWID text, _rowid_ text, oid text, x text", (), 1),
    ],
)
def test_shadowed_rowid_names(tmp_path: Path, columns: str, walk: tuple[str, ...], segments: int) -> None:
    width = columns.count(",") + 1
    rows = [tuple(f"{i}{j}" for j in range(width)) for i in range(10)]
    path = make_file(tmp_path / "shadow.db", f"create table t({columns})", {"t": rows})
    assert plan_table(path, "t", {"x": TEXT}).walk.columns == walk
    seen, total, count = covered(path, "t", {"x": TEXT}, "UTF-8")
    assert (sum(seen.values()), total, count) == (10, 10, segments)


def test_long_values_are_cut_by_their_bytes(tmp_path: Path) -> None:
    big = 20 << 20
    rows = [(1, b"a"), (2, bytes(big)), (3, b"b"), (4, b"c"), (5, bytes(big))]
    path = make_file(tmp_path / "big.db", "create table t(id integer primary key, x blob)", {"t": rows})
    plan = plan_table(path, "t", {"id": INTEGER, "x": BLOB})
    segments = plan_segments(path, plan, count_facts(path, plan), encoding="UTF-8")
    bounds = [(s.lo, s.hi) for s in segments]
    assert ((1,), (2,)) in bounds
    assert bounds[-1] == ((4,), None)


def test_segments_follow_the_mean_lengths() -> None:
    plan_facts = TableFacts(rows=10**6, columns={"x": ColumnFacts(mean_bytes=10_000.0)})
    plan = plan_table_of_one_text()
    assert 100 < rows_per_segment(plan, plan_facts) < 2_000
    assert rows_per_segment(plan, plan_facts, max_rows_per_second=100) == 30


def plan_table_of_one_text() -> Any:
    """A plan without a file behind it."""
    with tempfile.TemporaryDirectory() as folder:
        path = make_file(Path(folder, "p.db"), "create table t(x text)")
        return plan_table(path, "t", {"x": TEXT})


def test_a_type_that_always_goes_slow_has_slow_segments_only(tmp_path: Path) -> None:
    path = make_file(tmp_path / "s.db", "create table t(x text)", {"t": [(str(i),) for i in range(7)]})
    plan = plan_table(path, "t", {"x": ColumnType(kind=Kind.OTHER, sql="inet")})
    segments = plan_segments(path, plan, count_facts(path, plan), encoding="UTF-8", max_rows_per_second=TINY_RATE)
    assert [s.mode for s in segments] == [Mode.SLOW] * 3

"""The estimate is a range that grows with rows and bytes."""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.model.plan import ColumnFacts, Plan, TableFacts
from stepflow_tui.engine.plan.estimates import START_SECONDS, estimate

EMPTY = Plan(
    hash="",
    kind="sqlite-to-postgres",
    mode="copy",
    schema_hash="",
    config_hash="",
    encoding="UTF-8",
    tables=(),
    statements=(),
    objects=(),
)


def plan_of(rows: int, mean_bytes: float) -> Plan:
    return replace(EMPTY, facts={"t": TableFacts(rows=rows, columns={"c": ColumnFacts(mean_bytes=mean_bytes)})})


def test_nothing_to_copy_takes_the_time_to_start() -> None:
    assert (estimate(EMPTY).low_seconds, estimate(EMPTY).high_seconds) == START_SECONDS


def test_more_rows_and_longer_values_take_longer_and_the_range_stays_a_range() -> None:
    small, tall, wide = estimate(plan_of(1000, 10)), estimate(plan_of(1_000_000, 10)), estimate(plan_of(1000, 100_000))
    assert small.high_seconds < tall.low_seconds + tall.high_seconds
    assert small.low_seconds < tall.low_seconds < tall.high_seconds
    assert small.low_seconds < wide.low_seconds < wide.high_seconds
    assert (tall.rows, wide.bytes) == (1_000_000, 100_000_000)

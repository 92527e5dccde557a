"""How far behind and how fast, by a clock that the test moves."""

from __future__ import annotations

from stepflow_tui.engine.live.lag import LagMeter, RateMeter
from stepflow_tui.engine.testing import ManualClock


def test_seconds_count_from_when_the_oldest_change_was_first_seen() -> None:
    clock = ManualClock()
    meter = LagMeter(clock)
    meter.applied(10)
    assert (meter.lag.changes, meter.lag.seconds) == (0, 0)
    meter.saw(15)
    clock.advance(3)
    meter.saw(20)
    clock.advance(2)
    assert (meter.lag.changes, meter.lag.seconds) == (10, 5)
    meter.applied(12)  # 13 to 15 were seen with the first look
    assert (meter.lag.changes, meter.lag.seconds) == (8, 5)
    meter.applied(15)
    assert (meter.lag.changes, meter.lag.seconds) == (5, 2)
    meter.applied(20)
    assert (meter.lag.changes, meter.lag.seconds) == (0, 0)


def test_a_tail_that_starts_far_along_is_not_behind() -> None:
    meter = LagMeter(ManualClock())
    meter.saw(1_000)
    meter.applied(1_000)
    assert meter.lag.changes == 0


def test_the_oldest_time_survives_a_long_backlog() -> None:
    clock = ManualClock()
    meter = LagMeter(clock)
    for n in range(1, 3_000):
        meter.saw(n)
        clock.advance(1)
    assert (meter.lag.changes, meter.lag.seconds) == (2_999, 2_999)


def test_rates_are_means_of_the_last_seconds() -> None:
    clock = ManualClock()
    meter = RateMeter(clock)
    for _ in range(20):
        clock.advance(1)
        meter.add(100)
    assert 100 <= meter.per_second <= 110
    clock.advance(60)
    assert meter.per_second == 0

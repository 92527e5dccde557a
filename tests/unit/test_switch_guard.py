"""The sequential test: what it must never do, what it must notice, and what a bare threshold does instead."""

from __future__ import annotations

import math
import random
import statistics
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepflow_tui.client.figures import Arm, Pair, latency_bin
from stepflow_tui.engine.model.config import RollbackIf
from stepflow_tui.engine.switch.guard import (
    LIMIT,
    WINDOW,
    Count,
    Cusum,
    Guard,
    Signal,
    alternative,
    base_rate,
    by_chance,
    exceeds,
)  # fmt: skip
from tests.switch_kit import arm, reads

RUNS, REQUESTS, HEALTHY = 500, 5_000, 0.005


def failures(rng: random.Random, rate: float) -> Iterator[bool]:
    """Whether the next request fails, by jumps from failure to failure."""
    while True:
        good = int(math.log(1 - rng.random()) / math.log(1 - rate))
        for _ in range(good):
            yield False
        yield True


def batches(rng: random.Random, new: float, old: float, size: int, ratio: float = 1.0) -> Iterator[Pair]:
    """What routers report while both sides fail at these rates."""
    one, two = failures(rng, new), failures(rng, old)
    while True:
        bad = sum(next(one) for _ in range(size))
        more = round(size * ratio)
        yield reads(arm(size, bad), arm(more, sum(next(two) for _ in range(more))))


def rolls_back_after(rng: random.Random, rate: float, size: int, known: int, ratio: float = 1.0) -> int | None:
    """Requests until the alarm; None if there is none in REQUESTS. `known`: reads of the old side before."""
    guard = Guard(RollbackIf())
    if known:
        guard.feed(reads(Arm(), arm(known, sum(next(f) for f in [failures(rng, HEALTHY)] * known))))
    for n, pair in enumerate(batches(rng, rate, HEALTHY, size, ratio), start=1):
        if n * size > REQUESTS:
            return None
        guard.feed(pair)
        if guard.alarm() is not None:
            return n * size
    return None


def naive(rng: random.Random, rate: float) -> int | None:
    """Negative control: more than 2 % errors in the last 50 requests."""
    last: deque[bool] = deque(maxlen=50)
    for n, failed in zip(range(1, REQUESTS + 1), failures(rng, rate), strict=False):
        last.append(failed)
        if len(last) == 50 and sum(last) > 1:
            return n
    return None


@pytest.mark.parametrize(("known", "ratio"), [(2_000, 1.0), (500, 0.1), (0, 1.0)])
def test_a_healthy_service_is_never_moved_back(known: int, ratio: float) -> None:
    """In the long run it is one of some 10,000 runs; these 500 are without."""
    rng = random.Random(2026)
    runs = [rolls_back_after(rng, HEALTHY, 50, known, ratio) for _ in range(RUNS)]
    assert [run for run in runs if run is not None] == []


def test_a_bare_threshold_moves_a_healthy_service_back() -> None:
    rng = random.Random(16)
    runs = [naive(rng, HEALTHY) for _ in range(RUNS)]
    assert sum(run is not None for run in runs) > 0.95 * RUNS


@pytest.mark.parametrize(("rate", "most"), [(0.05, 250), (0.30, 35)])
def test_a_defect_is_noticed_soon(rate: float, most: int) -> None:
    rng = random.Random(16)
    runs = [rolls_back_after(rng, rate, 5, 2_000) for _ in range(200)]
    assert None not in runs
    assert statistics.median(run for run in runs if run is not None) <= most


def test_a_defect_is_noticed_when_the_old_side_is_not_read_any_more() -> None:
    rng = random.Random(16)
    runs = [rolls_back_after(rng, 0.3, 5, known, ratio=0.0) for known in (0, 5_000) for _ in range(50)]
    assert None not in runs


def test_a_batch_counts_like_its_requests() -> None:
    """Evenly spread failures in one batch or one by one: the same sum, but for rounding."""
    whole, single = Cusum(), Cusum()
    whole.feed(Count(5, 505), Count(0, 505), 0.005)
    for n in range(505):
        single.feed(Count(int(n % 101 == 50), 1), Count(0, 1), 0.005)
    assert whole.level == pytest.approx(single.level, rel=0.35)


def test_the_sum_is_the_published_one() -> None:
    test = Cusum()
    for _ in range(3):
        test.feed(Count(1, 1), Count(0, 1), 0.01)
    assert test.level == pytest.approx(3 * math.log(4))
    test.feed(Count(0, 10), Count(0, 10), 0.01)
    assert test.level == pytest.approx(3 * math.log(4) - 10 * math.log(0.99 / 0.96))
    test.feed(Count(0, 10_000), Count(0, 10_000), 0.01)
    assert test.level == 0.0


def test_five_bad_reads_are_the_least() -> None:
    guard = Guard(RollbackIf())
    guard.feed(reads(Arm(), arm(40_000, 0)))
    for _ in range(4):
        guard.tests[Signal.ERRORS].level = LIMIT + 1
        guard.feed(reads(arm(1, 1)))
        assert guard.alarm() is None
    guard.feed(reads(arm(1, 1)))
    assert guard.alarm() is not None


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_both_sides_failing_is_no_reason_to_go_back(share: float) -> None:
    rng = random.Random(3)
    guard = Guard(RollbackIf())
    guard.feed(reads(arm(1_000, 5), arm(5_000, 25)))
    alone = share == 1.0
    for pair, _ in zip(batches(rng, 0.9, 0.9, round(100 * share), (1 - share) / share), range(50), strict=False):
        guard.feed(pair)
    assert (guard.alarm() is None) is not alone  # with nobody on the old side nothing is known of it
    assert guard.both_fail is not alone


def test_a_mismatch_stops_at_once_and_limits_are_the_configs() -> None:
    guard = Guard(RollbackIf(mismatches=2))
    guard.feed(Pair(), 1)
    assert guard.alarm() is None
    guard.feed(Pair(), 1)
    alarm = guard.alarm()
    assert alarm is not None
    assert (alarm.signal, alarm.params["count"]) == (Signal.MISMATCHES, 2)
    guard.restart()
    assert guard.alarm() is None


def test_slow_means_slower_than_the_old_sides_p99_and_than_what_is_accepted() -> None:
    def fed(seconds: float, old: float, p95: float) -> Signal | None:
        guard = Guard(RollbackIf(p95=p95))
        guard.feed(reads(Arm(), arm(5_000, seconds=old)))
        for _ in range(4):
            guard.feed(reads(arm(250, seconds=seconds), arm(250, seconds=old)))
        alarm = guard.alarm()
        return alarm.signal if alarm is not None else None

    assert fed(0.010, 0.0001, 0.5) is None  # a network is slower than a file
    assert fed(0.6, 0.0001, 0.5) is Signal.SLOW
    assert fed(0.6, 0.8, 0.5) is None  # the old side is no faster
    assert fed(0.010, 0.0001, 0.005) is Signal.SLOW


def test_the_hard_limits_hold_where_the_old_side_hides_a_defect() -> None:
    guard = Guard(RollbackIf(p95=0.5))
    old = Arm(1_000, 0, 0, {latency_bin(0.002): 960, latency_bin(0.9): 40})  # its p99 is above the limit
    guard.feed(reads(Arm(), old))
    guard.feed(reads(arm(500, seconds=0.7), old))
    alarm = guard.alarm()
    assert alarm is not None
    assert alarm.signal is Signal.P95
    assert alarm.params["new"] == pytest.approx(700, rel=0.11)
    assert alarm.limit == 500

    guard = Guard(RollbackIf(error_rate=0.04))
    guard.feed(reads(Arm(), arm(40_000, 1_200)))  # 3 %: the sequential test looks for 12 %
    for _ in range(4):
        guard.feed(reads(arm(500, 32), arm(500, 15)))  # 6.4 %
    alarm = guard.alarm()
    assert alarm is not None
    assert alarm.signal is Signal.ERROR_RATE


def test_a_hard_limit_needs_more_than_chance() -> None:
    assert not exceeds(Count(60, 1_000), 0.05)
    assert exceeds(Count(80, 1_000), 0.05)
    assert not exceeds(Count(100, 199), 0.05)
    assert not exceeds(Count(9, 200), 0.001)


def test_the_window_is_counted_not_timed() -> None:
    guard = Guard(RollbackIf(error_rate=0.05))
    guard.feed(reads(Arm(), arm(40_000, 1_000)))
    for _ in range(10):
        guard.feed(reads(arm(200, 4), arm(200, 4)))
    assert guard.alarm() is None
    assert sum(p.new.requests for p in guard._window) == WINDOW


def test_how_many_reads_a_step_needs() -> None:
    guard = Guard(RollbackIf())
    for _ in range(20):
        guard.feed(reads(Arm(), arm(10_000, 0)))
    assert guard.needed == 750  # 3 / (4 x 0.1 %)
    guard = Guard(RollbackIf())
    guard.feed(reads(Arm(), arm(50_000, 500)))
    assert 60 <= guard.needed <= 75  # 3 / (4 x 1 %)


def test_the_old_sides_figures_fade() -> None:
    guard = Guard(RollbackIf())
    guard.feed(reads(Arm(), arm(50_000, 5_000)))
    for _ in range(20):
        guard.feed(reads(Arm(), arm(20_000, 0)))
    assert guard.needed == 750


@given(st.integers(0, 400), st.integers(1, 5_000), st.integers(0, 400), st.integers(0, 50_000))
@settings(max_examples=200)
def test_the_binomial_tail_is_a_probability(bad: int, n: int, old_bad: int, old: int) -> None:
    found = by_chance(Count(min(bad, n), n), Count(min(old_bad, old), old))
    assert -1e-9 <= found <= 1 + 1e-9


def test_the_binomial_tail_is_the_exact_one() -> None:
    new, old = Count(10, 300), Count(4, 500)
    bad, q = 10 + 5, 300 / (300 + 900)  # with what is taken for granted of the old side: 1 in 400
    exact = sum(math.comb(bad, k) * q**k * (1 - q) ** (bad - k) for k in range(10, bad + 1))
    assert by_chance(new, old) == pytest.approx(exact, rel=1e-9)


@given(
    st.lists(st.tuples(*[st.integers(0, 500)] * 6), min_size=1, max_size=30),
)
@settings(max_examples=200)
def test_no_figures_break_it(rows: list[tuple[int, ...]]) -> None:
    guard = Guard(RollbackIf())
    for errors, timeouts, good, old_errors, old_timeouts, old_good in rows:
        new = Arm(errors + timeouts + good, errors, timeouts, {290: good} if good else {})
        old = Arm(old_errors + old_timeouts + old_good, old_errors, old_timeouts, {0: old_good} if old_good else {})
        guard.feed(Pair(old, new))
        assert guard.level >= 0
        assert guard.needed >= 1
        alarm = guard.alarm()
        assert alarm is None or alarm.params["new"] >= 0


@given(st.integers(0, 100_000), st.integers(0, 100_000))
def test_p1_is_always_a_rate_above_p0(bad: int, reads_: int) -> None:
    p0 = base_rate(Count(min(bad, reads_), reads_))
    assert 0.001 <= p0 < alternative(p0) < 1

"""Whether the new side's reads are worse than the old side's: a sequential test per signal, and the config's hard limits.

The test is a cumulative sum of log-likelihood ratios (CUSUM: E. S. Page, "Continuous inspection schemes", Biometrika 41,
1954) of "the new side's rate is p1 = 4 p0" against "it is p0", where p0 is the old side's rate. A bare threshold over the
last few reads moves a healthy service back sooner or later; this one does so in one of 100,000 runs, and still notices a
real defect within a few hundred reads. Counts only, no clock: a jumping one changes nothing.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from stepflow_tui.client.figures import Arm, Pair
from stepflow_tui.engine.model.config import RollbackIf

LIMIT: Final = math.log(1e5)
FLOOR: Final = 0.001
"""No rate is taken for lower than this."""
FACTOR: Final = 4.0
LEAST_BAD: Final = 5
PRIOR_BAD: Final = 1
PRIOR_READS: Final = 200
"""What is taken for granted while the old side has hardly been measured, as when all reads are on the new one."""
MEMORY: Final = 50_000
"""The old side's figures are halved when they hold this many reads, so that what was long ago fades."""
WINDOW: Final = 2_000
"""Reads of the new side that the hard limits look at."""
LEAST_WINDOW, LEAST_WINDOW_BAD = 200, 10
_SIGMAS: Final = 3.0
_CARE: Final = 1.5
_CHANCE: Final = 2e-4


class Signal(StrEnum):
    """What was found."""

    ERRORS = "errors"
    TIMEOUTS = "timeouts"
    SLOW = "slow"
    MISMATCHES = "mismatches"
    ERROR_RATE = "error_rate"
    P95 = "p95"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Why reads should go back. `new` and `old` are per cent (for p95 milliseconds), `limit` in the same unit."""

    signal: Signal
    new: float = 0.0
    old: float = 0.0
    limit: float = 0.0
    count: int = 0

    @property
    def params(self) -> dict[str, float | int]:
        """As texts and the journal take them."""
        numbers = {"new": self.new, "old": self.old, "limit": self.limit}
        return {"count": self.count} | {name: float(f"{number:.3g}") for name, number in numbers.items()}


@dataclass(slots=True)
class Count:
    """Bad ones among so many."""

    bad: int = 0
    reads: int = 0

    def add(self, bad: int, reads: int) -> None:
        """That many more."""
        self.bad += bad
        self.reads += reads

    @property
    def rate(self) -> float:
        """The share of bad ones, 0 without reads."""
        return self.bad / self.reads if self.reads else 0.0


@dataclass(slots=True)
class Cusum:
    """The test of one signal. `new` and `old` count since the sum last stood at 0: the run-up to an alarm."""

    level: float = 0.0
    new: Count = field(default_factory=Count)
    old: Count = field(default_factory=Count)

    def feed(self, new: Count, old: Count, p0: float) -> None:
        """A batch, whose bad reads are taken as spread evenly: their order is not known.

        Args:
            new: reads of the new side.
            old: reads of the old side in the same time.
            p0: the old side's rate in general.
        """
        if not self.level:
            self.new, self.old = Count(), Count()
        self.new.add(new.bad, new.reads)
        self.old.add(old.bad, old.reads)
        p1 = alternative(p0)
        up, down = math.log(p1 / p0), math.log((1 - p0) / (1 - p1))
        gap = (new.reads - new.bad) / (new.bad + 1) * down
        for _ in range(new.bad):
            self.level = max(0.0, self.level - gap) + up
        self.level = max(0.0, self.level - gap)

    @property
    def reached(self) -> bool:
        """Whether the new side is worse, as far as it is concerned alone."""
        return self.level >= LIMIT and self.new.bad >= LEAST_BAD

    @property
    def equally_bad(self) -> bool:
        """Whether the old side fails too: going back would not help."""
        return self.old.reads > 0 and self.old.rate >= self.new.rate / 2


def alternative(p0: float) -> float:
    """p1: four times p0, and always a rate above it and below 1."""
    return min(FACTOR * p0, (1 + p0) / 2)


def base_rate(control: Count) -> float:
    """p0: the old side's rate, as high as it may well be while it rests on few reads."""
    bad = control.bad + PRIOR_BAD
    return min(0.95, max(FLOOR, (bad + _CARE * math.sqrt(bad)) / (control.reads + PRIOR_READS)))


def by_chance(new: Count, control: Count) -> float:
    """The probability that the new side had so many of all bad reads if both sides were alike (a binomial tail). For the
    old side one bad read in 400 is taken for granted."""
    old = Count(control.bad + PRIOR_BAD, control.reads + 2 * PRIOR_READS)
    bad, share = new.bad + old.bad, new.reads / (new.reads + old.reads)
    odds, term = math.log(share / (1 - share)), bad * math.log(1 - share)
    total = 0.0
    for n in range(bad + 1):
        if n >= new.bad:
            total += math.exp(term)
        term += math.log((bad - n) / (n + 1)) + odds if n < bad else 0.0
    return total


def exceeds(count: Count, share: float) -> bool:
    """Whether the true rate lies above a hard limit for certain: three standard deviations of chance are left to it."""
    allowed = share * count.reads + _SIGMAS * math.sqrt(share * (1 - share) * count.reads)
    return count.reads >= LEAST_WINDOW and count.bad >= LEAST_WINDOW_BAD and count.bad > allowed


class Guard:
    """Takes batches of figures and says whether reads should go back.

    Args:
        limits: `switch.rollback_if`. A read counts as slow when it takes longer than the old side's p99, but not while it
            is within `p95`: a database across a network is slower than a file, and that much is accepted.
    """

    def __init__(self, limits: RollbackIf) -> None:
        self._limits = limits
        self._control = Arm()
        self.restart()

    def restart(self) -> None:
        """Forget the new side: after reads went back, or were armed again. What is known of the old side stays."""
        self.tests = {signal: Cusum() for signal in (Signal.ERRORS, Signal.TIMEOUTS, Signal.SLOW)}
        self.mismatches = 0
        self._window: deque[Pair] = deque()

    def feed(self, fresh: Pair, mismatches: int = 0) -> None:
        """A batch: reads of both sides in the same time, and confirmed mismatches."""
        self.mismatches += mismatches
        slow = self._slow_above()
        for signal, test in self.tests.items():
            test.feed(
                _count(fresh.new, signal, slow),
                _count(fresh.old, signal, slow),
                base_rate(_count(self._control, signal, slow)),
            )
        self._control.merge(fresh.old)
        if self._control.requests > MEMORY:
            self._control = _halved(self._control)
        self._slide(fresh)

    def alarm(self) -> Alarm | None:
        """Why reads should go back to the old side now; None while they should not."""
        if self.mismatches >= self._limits.mismatches:
            return Alarm(signal=Signal.MISMATCHES, count=self.mismatches, limit=self._limits.mismatches)
        for signal, test in self.tests.items():
            if test.reached and not test.equally_bad and self._is_no_chance(signal, test):
                return _relative(signal, test)
        return self._hard()

    @property
    def both_fail(self) -> bool:
        """Whether the new side is bad, but the old one is as bad."""
        return self.alarm() is None and any(t.reached and t.equally_bad for t in self.tests.values())

    @property
    def level(self) -> float:
        """How near the nearest test is to an alarm: 0 to 1, or more."""
        return max(test.level for test in self.tests.values()) / LIMIT

    @property
    def needed(self) -> int:
        """Reads of the new side that a step needs before it proves anything: 3 / p1."""
        p0 = base_rate(Count(self._control.errors, self._control.requests))
        return math.ceil(3 / alternative(p0))

    def _is_no_chance(self, signal: Signal, test: Cusum) -> bool:
        """The sum has a sharp limit, but p0 is itself measured: so many bad reads must not be luck of the old side."""
        return by_chance(test.new, _count(self._control, signal, self._slow_above())) <= _CHANCE

    def _slow_above(self) -> float:
        return max(self._control.quantile(0.99) or 0.0, self._limits.p95)

    def _slide(self, fresh: Pair) -> None:
        self._window.append(fresh)
        kept = sum(pair.new.requests for pair in self._window)
        while self._window and kept - self._window[0].new.requests >= WINDOW:
            kept -= self._window.popleft().new.requests

    def _hard(self) -> Alarm | None:
        seen = Pair()
        for pair in self._window:
            seen.merge(pair)
        new, old = (Count(arm.errors + arm.timeouts, arm.requests) for arm in (seen.new, seen.old))
        if _worse(new, old, self._limits.error_rate):
            limit = self._limits.error_rate * 100
            return Alarm(signal=Signal.ERROR_RATE, new=new.rate * 100, old=old.rate * 100, limit=limit, count=new.bad)
        new, old = (Count(arm.above(self._limits.p95), arm.answered) for arm in (seen.new, seen.old))
        if _worse(new, old, 0.05):
            p95 = [(arm.quantile(0.95) or 0.0) * 1000 for arm in (seen.new, seen.old)]
            return Alarm(signal=Signal.P95, new=p95[0], old=p95[1], limit=self._limits.p95 * 1000, count=new.bad)
        return None


def _worse(new: Count, old: Count, share: float) -> bool:
    return exceeds(new, share) and not (old.reads and old.rate >= new.rate / 2)


def _relative(signal: Signal, test: Cusum) -> Alarm:
    return Alarm(signal=signal, new=test.new.rate * 100, old=test.old.rate * 100, count=test.new.bad)


def _count(arm: Arm, signal: Signal, slow: float) -> Count:
    if signal is Signal.ERRORS:
        return Count(arm.errors, arm.requests)
    if signal is Signal.TIMEOUTS:
        return Count(arm.timeouts, arm.requests)
    return Count(arm.above(slow), arm.answered)


def _halved(arm: Arm) -> Arm:
    """The same rates from half as many reads."""
    latency = {number: half for number, count in arm.latency.items() if (half := count // 2)}
    return Arm(arm.requests // 2, arm.errors // 2, arm.timeouts // 2, latency)

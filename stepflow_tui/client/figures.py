"""Figures of reads: per side the requests, errors, timeouts and a latency histogram, small enough to send every second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stepflow_tui.client.buckets import NEW, OLD, Side

GROWTH: Final = 1.1
"""Bin b of the histogram holds durations of up to 1.1^b microseconds, so a quantile is at most 10 % too long."""

_LOG: Final = math.log(GROWTH)
_LAST_BIN: Final = 290  # some 17 minutes
_MOST: Final = 1_000_000_000


def latency_bin(seconds: float) -> int:
    """The bin of a duration; 0 for a microsecond and less."""
    return min(_LAST_BIN, max(0, math.ceil(math.log(max(seconds * 1e6, 1.0)) / _LOG - 1e-9)))


def bin_seconds(number: int) -> float:
    """The longest duration of a bin."""
    return float(GROWTH**number) / 1e6


@dataclass(slots=True)
class Arm:
    """Reads of one side. `errors` leaves timeouts out; `latency`, bin → count, holds the reads that were answered."""

    requests: int = 0
    errors: int = 0
    timeouts: int = 0
    latency: dict[int, int] = field(default_factory=dict)

    def add(self, seconds: float, error: BaseException | bool | None = None) -> None:
        """One read: how long it took, and what went wrong. TimeoutError and its kind count as timeouts."""
        self.requests += 1
        if is_timeout(error):
            self.timeouts += 1
        elif error:
            self.errors += 1
        else:
            number = latency_bin(seconds)
            self.latency[number] = self.latency.get(number, 0) + 1

    def merge(self, other: Arm) -> None:
        """Add the other's figures."""
        self.requests += other.requests
        self.errors += other.errors
        self.timeouts += other.timeouts
        for number, count in other.latency.items():
            self.latency[number] = self.latency.get(number, 0) + count

    @property
    def answered(self) -> int:
        """Reads whose duration is known."""
        return sum(self.latency.values())

    def quantile(self, share: float) -> float | None:
        """Seconds that this share of the answered reads took at most; None without any."""
        wanted, seen = share * self.answered, 0
        for number in sorted(self.latency):
            seen += self.latency[number]
            if seen >= wanted:
                return bin_seconds(number)
        return None

    def above(self, seconds: float) -> int:
        """Answered reads that took longer, by bins: those of the bin that holds the limit itself do not count."""
        limit = latency_bin(seconds)
        return sum(count for number, count in self.latency.items() if number > limit)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "timeouts": self.timeouts,
            "latency": {str(number): count for number, count in sorted(self.latency.items())},
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Arm:
        """From JSON. Raises ValueError where the figures can't be: they come from outside."""
        latency = data.get("latency", {})
        if not isinstance(latency, Mapping):
            raise ValueError("latency is no mapping")
        arm = cls(_count(data.get("requests", 0)), _count(data.get("errors", 0)), _count(data.get("timeouts", 0)))
        arm.latency = {min(_LAST_BIN, _count(int(number))): _count(count) for number, count in latency.items()}
        if arm.errors + arm.timeouts + arm.answered > arm.requests:
            raise ValueError("more outcomes than requests")
        return arm


def is_timeout(error: object) -> bool:
    """Whether an error says that time ran out: TimeoutError, or a driver's class with such a name."""
    if error is None or isinstance(error, bool):
        return False
    names = ("timeout", "querycanceled")  # statement_timeout: QueryCanceled(Error) in psycopg and asyncpg
    return isinstance(error, TimeoutError) or any(name in type(error).__name__.lower() for name in names)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ValueError("no count")
    return value


@dataclass(slots=True)
class Pair:
    """Both sides of one kind of reads: the old arm is the control."""

    old: Arm = field(default_factory=Arm)
    new: Arm = field(default_factory=Arm)

    def arm(self, side: Side) -> Arm:
        """The arm of that side."""
        return self.new if side == NEW else self.old

    def merge(self, other: Pair) -> None:
        """Add the other's figures."""
        self.old.merge(other.old)
        self.new.merge(other.new)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {OLD: self.old.plain(), NEW: self.new.plain()}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Pair:
        """From JSON. Raises ValueError."""
        parts = {side: data.get(side, {}) for side in (OLD, NEW)}
        if not all(isinstance(part, Mapping) for part in parts.values()):
            raise ValueError("an arm is no mapping")
        return cls(Arm.of(parts[OLD]), Arm.of(parts[NEW]))

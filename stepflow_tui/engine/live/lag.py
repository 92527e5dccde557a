"""How far behind, and how fast: measured by a monotonic clock, because the log holds no times."""

from __future__ import annotations

from collections import deque

from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.live import Lag

_WINDOW_SECONDS = 10.0
_SAMPLES = 1_000


class LagMeter:
    """Remembers when each newest log entry was first seen.

    Args:
        clock: time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: deque[tuple[int, float]] = deque()
        self._applied = 0
        self._newest = 0

    def saw(self, log_max: int) -> None:
        """The log's newest entry at this moment."""
        if log_max > self._newest:
            self._newest = log_max
            if len(self._seen) == _SAMPLES:  # behind for very long: the oldest time is what counts
                del self._seen[1]
            self._seen.append((log_max, self._clock.monotonic()))

    def applied(self, n: int) -> None:
        """Everything up to `n` is applied."""
        self._applied = n
        self._newest = max(self._newest, n)
        while self._seen and self._seen[0][0] <= n:
            self._seen.popleft()

    @property
    def lag(self) -> Lag:
        """Entries not applied, and for how many seconds one of them has been known."""
        seconds = self._clock.monotonic() - self._seen[0][1] if self._seen else 0.0
        return Lag(changes=max(0, self._newest - self._applied) if self._seen else 0, seconds=seconds)


class RateMeter:
    """A mean over the last seconds.

    Args:
        clock: time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._counts: deque[tuple[float, int]] = deque()

    def add(self, count: int) -> None:
        """So many more."""
        if count:
            self._counts.append((self._clock.monotonic(), count))

    @property
    def per_second(self) -> float:
        """The mean rate of the last ten seconds."""
        now = self._clock.monotonic()
        while self._counts and now - self._counts[0][0] > _WINDOW_SECONDS:
            self._counts.popleft()
        seconds = min(_WINDOW_SECONDS, max(0.1, now - self._began))
        return sum(count for _, count in self._counts) / seconds

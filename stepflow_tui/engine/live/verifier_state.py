"""What a continuous verification has found out, as values: passes, the newest clean one, pace and gauge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stepflow_tui.engine.model.discrepancy import Discrepancy, TableVerdict

Gauge = Callable[["VerifierState"], None]
"""Takes the newest state; cheap, called after every slice."""

OnPass = Callable[["PassResult"], Awaitable[None]]
"""Takes the result of a whole pass, such as to journal what it found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How hard the verifier works.

    Args:
        duty: share of the time in which a common point may be open.
        slice_seconds: how long one point may be open; it holds back the source's WAL, or its writers.
        rest_seconds: pause between passes.
        longest_pause: upper limit of one pause after a slice, in seconds.
        tries: attempts after the target or the source could not be read, `retry_seconds` apart.
    """

    duty: float = 0.2
    slice_seconds: float = 0.15
    rest_seconds: float = 5.0
    longest_pause: float = 5.0
    tries: int = 5
    retry_seconds: float = 2.0

    def pause_after(self, seconds: float) -> float:
        """How long to pause after a point that was open so long."""
        return min(self.longest_pause, seconds * (1 - self.duty) / self.duty)


FLAT_OUT = Pace(duty=1.0, rest_seconds=0.0)
"""No pauses: for a pass somebody waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """The newest clean pass: every row compared equal at or after log entry `from_n`.

    Rows logged after `from_n` may have changed since they were looked at: a cutover compares those keys again.
    """

    from_n: int
    to_n: int
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """One walk over all tables. `points` common points were used, `longest_seconds` the longest one was open."""

    from_n: int
    to_n: int
    verdicts: tuple[TableVerdict, ...]
    invariants: tuple[Discrepancy, ...] = ()
    clean: bool
    points: int
    longest_seconds: float
    seconds: float

    @property
    def differing(self) -> int:
        """Rows that differ, are rejected or quarantined, and invariants that don't hold."""
        return sum(v.differences + v.rejected_rows for v in self.verdicts) + len(self.invariants)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierState:
    """The gauge. `done` and `total` are rows of `table`; `clean_at` is ms since 1970; `differing` counts confirmed rows of
    this pass, or of the last one where that had more; `repairs` counts rows that had to be repaired: each is a defect."""

    passes: int = 0
    table: str = ""
    done: int = 0
    total: int | None = None
    clean_at: int | None = None
    clean_w: int | None = None
    differing: int = 0
    repairs: int = 0

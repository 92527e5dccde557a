"""What many glimpses at a write-ahead log tell together: how fast it is written, when it was last checkpointed, who writes.

Pure: glimpses in, figures out. A log that is begun anew between two glimpses keeps no count of what was written before; its
transactions are counted all the same, and stand for as many frames as transactions had before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

RATE_SECONDS = 5.0
"""Rates are those of the last few seconds."""
SHARE_SECONDS = 60.0
"""The share of looks that found the write lock held is that of the last minute."""
GAP_SECONDS = 5.0
"""Two glimpses further apart than that say nothing about the time between them."""
_WRAP = 1 << 32
_ANEW = 1 << 31
_LEARNING = 0.1
"""How fast the frames of one transaction follow what is seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process by pid; 0 is one outside this container, -1 one that the system doesn't name. Both have no command."""

    pid: int
    command: str | None

    @classmethod
    def of(cls, found: Mapping[str, Any] | None) -> Process | None:
        """As the child tells it."""
        return None if found is None else cls(pid=int(found["pid"]), command=found.get("command"))

    @property
    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"pid": self.pid, "command": self.command}


class Stand(NamedTuple):
    """How full a log is."""

    frames: int
    checkpointed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """One quick look; `t` in monotonic seconds, None where something is not known."""

    t: float
    at_ms: int
    mode: str
    salt: int | None = None
    change: int | None = None
    frames: int | None = None
    checkpointed: int | None = None
    writer: Process | None = None
    checkpointer: Process | None = None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Glimpse:
        """As the child tells it."""
        people = {name: Process.of(found.get(name)) for name in ("writer", "checkpointer")}
        return cls(**{**found, **people})

    @property
    def stand(self) -> Stand | None:
        """Where the log stands, None where that is not known."""
        if self.frames is None or self.checkpointed is None:
            return None
        return Stand(self.frames, self.checkpointed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The last checkpoint that was seen to get on: `checkpointed` of `frames` are in the database file."""

    at_ms: int
    frames: int
    checkpointed: int

    @property
    def complete(self) -> bool:
        """Whether all there were are."""
        return self.checkpointed == self.frames

    @property
    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "at_ms": self.at_ms, "complete": self.complete, "frames": self.frames, "checkpointed": self.checkpointed,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    t: float
    seconds: float
    transactions: int
    frames: float = 0.0


@dataclass(slots=True)
class Course:
    """What was seen so far. `in_a_row`: the newest glimpses that all found the write lock held."""

    checkpoint: Checkpoint | None = None
    writer: Process | None = None
    checkpointer: Process | None = None
    in_a_row: int = 0
    _last: Glimpse | None = None
    _steps: deque[_Step] = field(default_factory=deque)
    _busy: deque[tuple[float, bool]] = field(default_factory=deque)
    _frames_each: float = 1.0
    _writer_t: float = float("-inf")

    def add(self, glimpses: Iterable[Glimpse]) -> None:
        """Take newer glimpses in."""
        for glimpse in glimpses:
            before, self._last = self._last, glimpse
            self._lock(glimpse)
            if before is None or before.mode != glimpse.mode or not 0 < glimpse.t - before.t <= GAP_SECONDS:
                self._steps.clear()
                continue
            self._checkpoint(before, glimpse)
            self._step(before, glimpse)

    @property
    def rate(self) -> float | None:
        """Frames written a second; None while nothing is known."""
        return self._per_second(sum(step.frames for step in self._steps))

    @property
    def transactions(self) -> float | None:
        """Transactions that wrote, a second; None while nothing is known."""
        return self._per_second(sum(step.transactions for step in self._steps))

    @property
    def write_busy(self) -> float | None:
        """Share of glimpses that found the write lock held."""
        return round(sum(held for _, held in self._busy) / len(self._busy), 3) if self._busy else None

    @property
    def plain(self) -> dict[str, Any]:
        """JSON-ready, as the gauge `wal` shows it."""
        return {
            "rate": self.rate,
            "transactions": self.transactions,
            "checkpoint": self.checkpoint and self.checkpoint.plain,
            "write_busy": self.write_busy,
            "busy_in_a_row": self.in_a_row,
            "writer": self.writer and self.writer.plain,
            "checkpointer": self.checkpointer and self.checkpointer.plain,
        }

    def _per_second(self, total: float) -> float | None:
        seconds = sum(step.seconds for step in self._steps)
        return round(total / seconds, 1) if seconds else None

    def _lock(self, now: Glimpse) -> None:
        self._busy.append((now.t, now.writer is not None))
        while self._busy[0][0] < now.t - SHARE_SECONDS:
            self._busy.popleft()
        self.in_a_row = self.in_a_row + 1 if now.writer is not None else 0
        if now.writer is not None:
            self.writer, self._writer_t = now.writer, now.t
        elif self._writer_t < now.t - SHARE_SECONDS:
            self.writer = None
        self.checkpointer = now.checkpointer

    def _checkpoint(self, before: Glimpse, now: Glimpse) -> None:
        old, new = before.stand, now.stand
        if old is None or new is None:
            return
        again = _again(before, now)
        if again > 1 or (again and old.checkpointed < old.frames):
            self._seen(now, old.frames, old.frames)
        if new.checkpointed > (0 if again else old.checkpointed):
            all_there_were = not again and new.checkpointed >= old.frames  # what came meanwhile was not held back
            self._seen(now, new.checkpointed if all_there_were else new.frames, new.checkpointed)

    def _seen(self, now: Glimpse, frames: int, checkpointed: int) -> None:
        self.checkpoint = Checkpoint(at_ms=now.at_ms, frames=frames, checkpointed=checkpointed)

    def _step(self, before: Glimpse, now: Glimpse) -> None:
        transactions = _passed(before.change, now.change)
        if transactions > _ANEW:  # the index was built anew after a crash
            transactions = 0
        step = _Step(t=now.t, seconds=now.t - before.t, transactions=transactions)
        self._steps.append(replace(step, frames=self._frames(before, now, transactions)))
        while self._steps[0].t < now.t - RATE_SECONDS:
            self._steps.popleft()

    def _frames(self, before: Glimpse, now: Glimpse, transactions: int) -> float:
        """Frames written between two glimpses."""
        old, new = before.stand, now.stand
        if old is None or new is None:
            return 0.0
        if _again(before, now):
            return max(float(new.frames), transactions * self._frames_each)
        written = max(0, new.frames - old.frames)
        if transactions and written:
            self._frames_each += _LEARNING * (written / transactions - self._frames_each)
        return float(written)


def _passed(before: int | None, now: int | None) -> int:
    """How far a counter of 32 bits went on."""
    return 0 if before is None or now is None else (now - before) % _WRAP


def _again(before: Glimpse, now: Glimpse) -> int:
    """How often the log was begun anew between two glimpses, or emptied; of another log 2."""
    if before.salt is not None and now.salt is not None:
        return min(_passed(before.salt, now.salt), 2)
    return int((now.frames or 0) < (before.frames or 0))

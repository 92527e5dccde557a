"""Fakes of the engine's ports, for tests: a clock that moves when told, a step that is scripted, a control that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from stepflow_tui.engine.errors import Stopping
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.steps.context import Evidence, RunContext


class ManualClock:
    """`model.clock.Clock` that stands still until `advance`."""

    def __init__(self, now_ms: int = 1_700_000_000_000, monotonic: float = 1000.0) -> None:
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self._now_ms

    def monotonic(self) -> float:
        """Seconds."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass and wake whoever slept that long."""
        self._now_ms += int(seconds * 1000)
        self._monotonic += seconds
        due = [event for until, event in self._sleepers if until <= self._monotonic]
        self._sleepers = [(until, event) for until, event in self._sleepers if until > self._monotonic]
        for event in due:
            event.set()

    def set_wall(self, now_ms: int) -> None:
        """Put the wall clock anywhere, backwards too; monotonic time stays."""
        self._now_ms = now_ms

    async def sleep(self, seconds: float) -> None:
        """Wait until somebody advances the clock."""
        event = asyncio.Event()
        self._sleepers.append((self._monotonic + seconds, event))
        await event.wait()


class CountingControl:
    """`model.control.Control` that counts checkpoints and ends the work at the one it was told."""

    def __init__(self, stop_at: int | None = None, *, abort: bool = False) -> None:
        self.checkpoints = 0
        self._stop_at = stop_at
        self._abort = abort

    @property
    def halted(self) -> bool:
        """Whether the last checkpoint was reached."""
        return self._stop_at is not None and self.checkpoints >= self._stop_at

    async def checkpoint(self) -> None:
        """Count. Raises Stopping at the chosen one."""
        self.checkpoints += 1
        if self.halted:
            raise Stopping(abort=self._abort)


Action = Callable[[RunContext], Awaitable[Evidence]]


@dataclass(slots=True, kw_only=True)
class FakeStep:
    """A step kept in memory: remembers what was asked of it; `act` is what `apply` does besides."""

    name: str
    danger: Danger = Danger.NONE
    loses: str = ""
    act: Action | None = None
    done: bool = False
    calls: list[str] = field(default_factory=list)

    async def probe(self, ctx: RunContext) -> Evidence | None:
        """Done when it was applied before."""
        self.calls.append("probe")
        return {"fake": self.name} if self.done else None

    async def apply(self, ctx: RunContext) -> Evidence:
        """Act."""
        self.calls.append("apply")
        evidence = await self.act(ctx) if self.act is not None else {"fake": self.name}
        self.done = True
        return evidence

    async def undo(self, ctx: RunContext) -> Evidence:
        """Forget it."""
        self.calls.append("undo")
        self.done = False
        return {"undone": self.name}

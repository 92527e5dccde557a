"""Time as the engine asks for it. The real clock is `journal.clock.SystemClock`; tests bring one they control."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time for people, monotonic time for everything that is decided."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC. Shown, never compared."""
        ...

    def monotonic(self) -> float:
        """Seconds of the machine's monotonic clock, the same for all processes of one boot."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

"""The machine's clock and boot id."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """`model.clock.Clock` by the operating system."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since an arbitrary point of this boot."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the event loop."""
        await asyncio.sleep(seconds)


def boot_id() -> str:
    """Names the present boot: a lease of another boot is void, its monotonic times mean nothing. "" where unknown."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""

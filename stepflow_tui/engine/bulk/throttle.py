"""Slows the copy down: to a number of rows per second, and while the target is busy with others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepflow_tui.engine.bulk.link import Link
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.postgres.control import flush_commits

if TYPE_CHECKING:
    import asyncpg

RATE = "rate_limit"
ACTIVE = "target_active"
SLOW_COMMITS = "target_slow_commits"
"""Reasons as `Progress.throttle` carries them."""

_SLICE_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLimits:
    """When the target counts as busy. The copy waits between chunks, `patience_seconds` at most for each.

    Args:
        active_sessions: sessions of others that run a statement in this database.
        commit_seconds: how long a flushed commit takes.
        every_seconds: how often the target is asked.
        patience_seconds: after so long one chunk goes all the same: a load that never ends must not stop a run for ever.
    """

    active_sessions: int = 32
    commit_seconds: float = 2.0
    every_seconds: float = 2.0
    patience_seconds: float = 60.0


Pause = Callable[[str], Awaitable[None]]
"""Called with the reason for every slice of waiting; looks at pause, stop and abort, which may raise."""


class RateLimit:
    """A token bucket over all workers; a chunk is paid for after it was copied.

    Args:
        rows_per_second: None for no limit.
        clock: time.
    """

    def __init__(self, rows_per_second: int | None, clock: Clock) -> None:
        self._rate = rows_per_second
        self._clock = clock
        self._free_at = clock.monotonic()

    def spend(self, rows: int) -> None:
        """Rows that were copied."""
        if self._rate is not None:
            self._free_at = max(self._free_at, self._clock.monotonic()) + rows / self._rate

    async def wait(self, pause: Pause) -> None:
        """Wait until earlier rows are paid for."""
        while self._rate is not None and (left := self._free_at - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, _SLICE_SECONDS))
            await pause(RATE)


class LoadThrottle:
    """Waits while the target is busy with others.

    Args:
        limits: when it counts as busy.
        clock: time.
    """

    def __init__(self, limits: LoadLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._asked = float("-inf")
        self._reason = ""

    async def wait(self, link: Link, pause: Pause) -> None:
        """Wait until the target is calm, or patience ends.

        Args:
            link: gives the connection to ask through.
            pause: see `Pause`.
        """
        until = self._clock.monotonic() + self._limits.patience_seconds
        while await self._busy(link) and self._clock.monotonic() < until:
            await self._clock.sleep(_SLICE_SECONDS)
            await pause(self._reason)

    async def _busy(self, link: Link) -> bool:
        now = self._clock.monotonic()
        if now - self._asked >= self._limits.every_seconds:
            self._asked = now
            async with link.use("ask for the target's load") as connection:
                self._reason = await self._ask(connection)
        return bool(self._reason)

    async def _ask(self, connection: asyncpg.Connection) -> str:
        active = await connection.fetchval(
            "select count(*) from pg_stat_activity where state = 'active' and backend_type = 'client backend'"
            " and datname = current_database() and application_name not like 'stepflow%'"
        )
        began = self._clock.monotonic()
        await flush_commits(connection)
        if active > self._limits.active_sessions:
            return ACTIVE
        return SLOW_COMMITS if self._clock.monotonic() - began > self._limits.commit_seconds else ""

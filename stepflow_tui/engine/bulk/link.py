"""The engine's own connection to the target during the copy: made again when it was lost; one user at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

CLOSE_SECONDS = 5.0


class Link:
    """A connection that is asked for, used and given back.

    Args:
        target: where to.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection: asyncpg.Connection | None = None
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None and not self._connection.is_closed():
            try:
                await self._connection.close(timeout=CLOSE_SECONDS)
            except (OSError, TimeoutError):
                self._connection.terminate()

    @asynccontextmanager
    async def use(self, doing: str) -> AsyncIterator[asyncpg.Connection]:
        """The connection for one block.

        Args:
            doing: what for, as an infinitive; it stands in errors.

        Raises:
            StepFlowError: by cause.
        """
        async with self._lock:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._target.connect()
            with pg_errors(doing, self._target):
                yield self._connection

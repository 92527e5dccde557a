"""Work that goes on while steps and gates come and go: the tail, the verifier, the sampler, the lease of the read switch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


class Services:
    """Background tasks of one engine, by name. One that fails ends the engine's work: a tail that died silently would be a lie.

    Args:
        failed: called with the error of a service that ended with one.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._works: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}

    def start(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a service unless one of that name runs."""
        if name in self._tasks and not self._tasks[name].done():
            return
        self._works[name] = work
        task = asyncio.create_task(work(), name=name)
        task.add_done_callback(self._ended)
        self._tasks[name] = task

    def runs(self, name: str) -> bool:
        """Whether it runs."""
        return name in self._tasks and not self._tasks[name].done()

    async def stop(self, *names: str) -> None:
        """Cancel these and wait until they are gone; all of them without names."""
        ending = [t for n in names or tuple(self._tasks) if (t := self._tasks.pop(n, None)) is not None]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    @asynccontextmanager
    async def held(self, *names: str) -> AsyncIterator[None]:
        """These stand still for the length of a block; those that ran before begin anew after it."""
        running = [n for n in names if self.runs(n)]
        if running:
            await self.stop(*running)
        yield
        for name in running:
            self.start(name, self._works[name])

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

"""Work that goes on while steps and gates come and go: the tail, the verifier, the sampler, the lease of the read switch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Services:
    """Background tasks of one engine, by name. One that fails ends the engine's work: a tail that died silently would be a lie.

    Args:
        failed: called with the error of a service that ended with one.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a service unless one of that name runs."""
        if name in self._tasks and not self._tasks[name].done():
            return
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

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

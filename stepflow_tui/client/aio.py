"""`AsyncReadRouter`: the same for applications with asyncio. The lease is read in place: that takes microseconds."""

from __future__ import annotations

import asyncio
import operator
import os
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from stepflow_tui.client.buckets import OLD, Key, Side
from stepflow_tui.client.fence import retry_async
from stepflow_tui.client.lease import Lease
from stepflow_tui.client.router import Routing
from stepflow_tui.client.shadows import ATTEMPTS, other

T = TypeVar("T")

AsyncReport = Callable[[str, str], Awaitable[object]]
"""Delivers a batch: the router's name and JSON text."""


class AsyncReadRouter(Routing):
    """Routes reads, measures them, compares some, and reports all that to the engine. Belongs to one event loop.

    Args:
        source, refresh, unmanaged: see `Routing`.
        report: delivers figures (`pool.execute("select _stepflow.report($1, $2)", router, body)`); None: not reported.
        every: seconds between two batches.
        shadow: the share (0 to 1) of `read` calls that also ask the other side.
        shadow_limit: shadow reads at once; further ones are left out and counted.
        shadow_timeout: seconds until one is ended. confirm_after: seconds between the two looks at a difference.
    """

    def __init__(
        self, source: str | os.PathLike[str] | Callable[[], Lease | None], *, report: AsyncReport | None = None,
        refresh: float = 0.2, unmanaged: Side = OLD, every: float = 1.0, shadow: float = 0.0,
        shadow_limit: int = 2, shadow_timeout: float = 1.0, confirm_after: float = 2.0,
    ) -> None:  # fmt: skip
        super().__init__(source, refresh=refresh, unmanaged=unmanaged)
        self._report, self._every, self._share = report, every, shadow
        self._limit, self._timeout, self._confirm_after = shadow_limit, shadow_timeout, confirm_after
        self._shadows: set[asyncio.Task[None]] = set()
        self._reporter: asyncio.Task[None] | None = None

    async def __aenter__(self) -> AsyncReadRouter:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def read(
        self, key: Key, fetch: Callable[[Side], Awaitable[T]], *, user: Key | None = None, groups: Sequence[str] = (),
        same: Callable[[T, T], bool] = operator.eq,
    ) -> T:  # fmt: skip
        """Route, run `fetch(side)`, measure it, and now and then compare with the other side in the background."""
        side = self.route(key, user, groups)
        start = time.perf_counter()
        try:
            answer = await fetch(side)
        except Exception as error:
            self.record(side, time.perf_counter() - start, error)
            raise
        self.record(side, time.perf_counter() - start)
        if self._share and random.random() < self._share:  # noqa: S311 - sampling
            self.shadow(side, answer, fetch, same=same)
        return answer

    def record(self, side: Side, seconds: float, error: BaseException | bool | None = None) -> None:
        """Count a read that was made by hand. `error`: what it raised, or True; timeouts are told apart by their class."""
        self.figures.read(side, seconds, error)
        if self._report is not None and self._reporter is None:
            self._reporter = asyncio.create_task(self._run())

    def shadow(
        self,
        side: Side,
        answer: T,
        fetch: Callable[[Side], Awaitable[T]],
        *,
        same: Callable[[T, T], bool] = operator.eq,
    ) -> bool:
        """Ask the other side in the background and compare with `answer`, which `side` gave. Returns False where the
        budget is used up."""
        if len(self._shadows) >= self._limit:
            self.figures.count("skipped")
            return False
        self._spawn(self._compare(side, answer, fetch, same))
        return True

    async def write(self, write: Callable[[Side], Awaitable[T]], *, timeout: float = 30.0) -> T:  # noqa: ASYNC109 - bounds the waiting only
        """Run one transaction on the side that owns writes, again on the other one if they move meanwhile. Raises
        FenceTimeout when they are refused for longer than `timeout` seconds."""
        return await retry_async(self.view, write, timeout=timeout)

    async def flush(self) -> bool:
        """Deliver the batch now; False when that failed (it is dropped and counted in `figures.lost`) or is switched off."""
        batch = self.figures.take()
        if batch is None or self._report is None:
            return batch is None
        try:
            await asyncio.wait_for(self._report(self.figures.router, batch[0]), max(self._every, 1.0) * 5)
        except Exception:  # figures are never worth an error in the application
            self.figures.lost += batch[1]
            return False
        return True

    async def close(self) -> None:
        """End the background tasks and send what is left."""
        tasks = [*self._shadows, *([self._reporter] if self._reporter else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.flush()
        if self._file is not None:
            self._file.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self.flush()

    async def _compare(
        self, side: Side, answer: T, fetch: Callable[[Side], Awaitable[T]], same: Callable[[T, T], bool]
    ) -> None:
        try:
            found = await self._ask(other(side), fetch, counted=True)
            for _ in range(ATTEMPTS):
                if found is None or same(answer, found[0]):
                    return
                await asyncio.sleep(self._confirm_after)
                before, answer = answer, await asyncio.wait_for(fetch(side), self._timeout)
                found = await self._ask(other(side), fetch, counted=False)
                if found is not None and same(before, answer) and not same(answer, found[0]):
                    self.figures.count("mismatches")
                    return
            self.figures.count("moving")
        except Exception:  # the application's own comparison or second read failed: nothing is proven
            self.figures.count("moving")

    async def _ask(self, side: Side, fetch: Callable[[Side], Awaitable[T]], *, counted: bool) -> tuple[T] | None:
        start = time.perf_counter()
        failure: BaseException | None = None
        answer: tuple[T] | None = None
        try:
            answer = (await asyncio.wait_for(fetch(side), self._timeout),)
        except Exception as error:  # the candidate's errors are figures
            failure = error
        if counted:
            self.figures.shadow(side, time.perf_counter() - start, failure)
        return answer

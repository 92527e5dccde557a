"""Pause, stop, abort and rollback of one engine: what intents and signals set, and steps look at between chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from typing import Any, TypeVar

from stepflow_tui.engine.errors import Refused, Stopping
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.state import RunState

T = TypeVar("T")


class Wish(StrEnum):
    """How the present work is to end."""

    NONE = "none"
    STOP = "stop"  # SIGTERM: finish the chunk, leave the run resumable
    ABORT = "abort"  # cancel what runs, drop nothing
    ROLLBACK = "rollback"  # cancel what runs, then go back
    FAIL = "fail"  # the engine itself can't go on (its journal, its lease)


_CUTTING = frozenset({Wish.ABORT, Wish.ROLLBACK, Wish.FAIL})


class EngineControl:
    """`model.control.Control` as the engine drives it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._pausing = False
        self._wish = Wish.NONE
        self._failure: BaseException | None = None
        self._go = asyncio.Event()  # cleared while paused
        self._go.set()
        self._cut = asyncio.Event()  # set when running work is to be cancelled
        self._news = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def wish(self) -> Wish:
        """How the present work is to end."""
        return self._wish

    @property
    def halted(self) -> bool:
        """True while no new chunk may begin."""
        return self._pausing or self._wish is not Wish.NONE

    async def checkpoint(self) -> None:
        """Wait while paused.

        Raises:
            Stopping: the engine ends or the run is aborted.
        """
        self._raise_if_ended()
        while self._pausing:
            await self._paused()
            await self._go.wait()
            self._raise_if_ended()

    async def pause(self) -> None:
        """Ask for a pause; `pausing` until the next checkpoint.

        Raises:
            Refused: the run is in no state that can be paused.
        """
        async with self._lock:
            if self._pausing:
                return
            if await self._journal.state() is RunState.ROLLING_BACK:
                raise Refused(
                    "A rollback is not paused: half undone is the worst place to rest.",
                    hint="Let it finish; `stepflow status` shows how far it is.",
                    code="rolling_back",
                )
            await self._journal.set_state(RunState.PAUSING)
            self._pausing = True
            self._go.clear()
        self.tell()

    async def resume(self) -> None:
        """End a pause.

        Raises:
            Refused: nothing is paused.
        """
        async with self._lock:
            if not self._pausing:
                raise Refused(
                    "The run is not paused.", hint="`stepflow status` shows what it is doing.", code="not_paused"
                )
            await self._journal.set_state(RunState.RUNNING)
            self._pausing = False
            self._go.set()
        self.tell()

    def end(self, wish: Wish, failure: BaseException | None = None) -> None:
        """Ask for the end of the present work; the first abort, rollback or failure holds, a stop gives way to them."""
        if self._wish in _CUTTING:
            return
        self._wish, self._failure = wish, failure
        self._go.set()
        if wish in _CUTTING:
            self._cut.set()
        self.tell()

    def turn_back(self) -> None:
        """The work a rollback cut off is unwound: from here on the rollback itself looks at checkpoints."""
        self._wish, self._pausing = Wish.NONE, False
        self._cut.clear()
        self._go.set()

    def tell(self) -> None:
        """Wake up whoever waits at a gate: an answer came, or the end."""
        self._news.set()

    async def news(self) -> None:
        """Wait until something was told."""
        await self._news.wait()
        self._news.clear()

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work that an abort, a rollback or a failure of the engine cancels.

        Raises:
            Stopping: it was cancelled.
            StepFlowError: the engine's own failure, or the work's.
        """
        task = asyncio.create_task(work)
        cut = asyncio.create_task(self._cut.wait())
        try:
            await asyncio.wait({task, cut}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
                if task.cancelled() or task.exception() is not None:  # what failed was torn off: the wish is the reason
                    self._raise_if_ended()
            return task.result()
        finally:
            cut.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def _raise_if_ended(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._wish is not Wish.NONE:
            raise Stopping(abort=self._wish is not Wish.STOP)

    async def _paused(self) -> None:
        async with self._lock:
            if self._pausing and await self._journal.state() is RunState.PAUSING:
                await self._journal.set_state(RunState.PAUSED)

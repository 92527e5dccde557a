"""Fetching what a screen shows in a thread, one fetch at a time: news that arrive meanwhile lead to one more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from textual.screen import Screen

from screens.widgets.guarded import in_background

T = TypeVar("T")


class Fetching(Screen[Any]):
    """A screen that reads journals without holding up its keys."""

    _busy = False
    _again = False

    def fetch(self, work: Callable[[], T], done: Callable[[T], object]) -> None:
        """Call `work` in a thread and `done` with what it gives; an error is shown."""
        if self._busy:
            self._again = True
            return
        self._busy = True
        in_background(self, self._fetching(work, done), group="read")

    async def _fetching(self, work: Callable[[], T], done: Callable[[T], object]) -> None:
        try:
            self._again = True
            while self._again:
                self._again = False
                done(await asyncio.to_thread(work))
        finally:
            self._busy = False

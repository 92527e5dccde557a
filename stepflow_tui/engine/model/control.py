"""Where long work looks for pause, abort and stop: between chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stepflow_tui.engine.model.progress import Progress

Report = Callable[[Progress], None]
"""Takes the newest progress of an item; cheap, may be called for every chunk (the engine writes it once a second)."""


class Control(Protocol):
    """The engine's side of pause, abort and stop, as a step sees it."""

    @property
    def halted(self) -> bool:
        """True while no new chunk may begin (pausing, paused, stopping, aborting)."""
        ...

    async def checkpoint(self) -> None:
        """Return at once when nothing is asked; wait while paused.

        Raises:
            Stopping: the engine was told to end, or the run to abort.
        """
        ...


class FreeRunning:
    """A control that never halts: for commands that work outside a run."""

    @property
    def halted(self) -> bool:
        """Never."""
        return False

    async def checkpoint(self) -> None:
        """Nothing is ever asked."""


def silent(_: Progress) -> None:
    """A report nobody reads."""

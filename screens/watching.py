"""The frame clock: one look at the journal, one repaint, at the pace the operator chose."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from textual import on
from textual.app import App

from screens.host import KEPT_EVENTS
from screens.widgets.guarded import in_background
from stepflow_tui.bridge import Bridge, Snapshot, SnapshotArrived, WizardOptions
from stepflow_tui.facade import RunInfo
from stepflow_tui.render.events import event_lines

PACES = (0.5, 1.0, 2.0, 5.0)
"""Seconds between two looks, as `+` and `-` choose them."""


@runtime_checkable
class Shows(Protocol):
    """A screen that shows a run."""

    def apply(self, snapshot: Snapshot) -> None:
        """Show this state."""
        ...


class Watching(App[Any]):
    """An app that watches at most one run."""

    options: WizardOptions
    bridge: Bridge | None = None
    snapshot: Snapshot | None = None
    refresh_seconds: float = 1.0
    demos: tuple[Path, ...] = ()
    """Configs of demos that were begun here: their shops end with this process."""
    _wake: asyncio.Event | None = None

    def watch_run(self, run: RunInfo) -> None:
        """Watch this run from now on, and no other."""
        self.stop_watching()
        self.events: deque[Mapping[str, Any]] = deque(maxlen=KEPT_EVENTS)
        self.bridge = Bridge(self.api, run, self.options)  # type: ignore[attr-defined]  # the app has it
        self._wake = asyncio.Event()
        in_background(self, self._look_on(self.bridge, self._wake), group="watch", exclusive=True)

    def stop_watching(self) -> None:
        """Let go of the run."""
        self.workers.cancel_group(self, "watch")
        self.bridge = None
        self.snapshot = None

    def look_now(self) -> None:
        """Do not wait for the next frame."""
        if self._wake is not None:
            self._wake.set()

    async def _look_on(self, bridge: Bridge, wake: asyncio.Event) -> None:
        """Runs on the app: a worker of a screen would die with it. The journal is closed on the way out."""
        try:
            while True:
                self.post_message(SnapshotArrived(await asyncio.to_thread(bridge.look)))
                wake.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), self.refresh_seconds)
        finally:
            bridge.close()

    @on(SnapshotArrived)
    def _arrived(self, message: SnapshotArrived) -> None:
        if self.bridge is None or message.snapshot.run != self.bridge.run.id:
            return
        if self.snapshot is not None:  # what the first look brings is the past
            self._tell_refusals(message.snapshot)
        self.snapshot = message.snapshot
        self.events.extend(message.snapshot.events)
        self.show_snapshot()

    def _tell_refusals(self, snapshot: Snapshot) -> None:
        """An order is answered before it is carried out: that it was refused comes later."""
        for event in snapshot.events:
            if event["event"] == "switch_refused":
                text = "\n".join(line.strip() for line in event_lines(event))
                self.notify(text, severity="warning", timeout=15, markup=False)

    def show_snapshot(self) -> None:
        """Have the screens on the stack show the newest state: also those under a dialog."""
        if self.snapshot is None or not self.is_running:  # on the way out screens lose their parts before they go
            return
        with self.batch_update():
            for screen in self.screen_stack:
                if isinstance(screen, Shows) and screen.is_mounted:
                    screen.apply(self.snapshot)

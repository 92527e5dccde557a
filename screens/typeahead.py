"""Keys pressed before a dialog could be seen are dropped, so that typing ahead never answers a question.

"Painted" for the program isn't painted for a slow line. When a dialog opens, the terminal is asked for its cursor position
(`ESC[6n`): it answers only after it has drawn what came before. Until then, and for a moment more, keys are dropped by the
time they arrived.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import Any

from textual import events
from textual.app import App

SETTLE_SECONDS = 0.3
"""After the terminal has drawn the dialog: time to see it."""
ANSWER_SECONDS = 3.0
"""A terminal that never answers counts as having drawn it after this long."""


class TypeAheadGuard(App[Any]):
    """An app that is deaf while a dialog is not yet drawn."""

    deaf_until: float = 0.0

    async def on_event(self, event: events.Event) -> None:
        """Drop what was typed or clicked too early; take the terminal's answer."""
        if isinstance(event, events.Key | events.Paste | events.MouseDown) and event.time < self.deaf_until:
            return
        if isinstance(event, events.CursorPosition) and self.deaf_until == inf:
            self.hear()
            return
        await super().on_event(event)

    def deafen(self) -> None:
        """A dialog opens: drop keys until the terminal has drawn it."""
        self.deaf_until = inf
        self.call_after_refresh(self._ask_terminal)

    def hear(self) -> None:
        """Keys count again after a moment."""
        if self.deaf_until == inf:
            self.deaf_until = monotonic() + SETTLE_SECONDS

    def undeafen(self) -> None:
        """The dialog is gone."""
        self.deaf_until = 0.0

    def _ask_terminal(self) -> None:
        if self._driver is not None and not self.is_headless:
            self._driver.write("\x1b[6n")
            self._driver.flush()
        self.set_timer(ANSWER_SECONDS, self.hear)

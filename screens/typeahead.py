"""Keys pressed before a dialog could be seen are dropped, so that typing ahead never answers a question.

"Painted" for the program isn't painted for a slow line. When a dialog opens, the terminal is asked for its cursor position
(`ESC[6n`): it answers only after it has drawn what came before. Until then, and for a moment more, keys are dropped by the
time they arrived. And keys are taken one by one: the next one of a burst waits until what the one before it set off is done,
so it never reaches a screen that the first one was about to leave.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial
from math import inf
from time import monotonic
from typing import Any, ClassVar

from textual import events
from textual.app import App

SETTLE_SECONDS = 0.3
"""After the terminal has drawn the dialog: time to see it."""
ANSWER_SECONDS = 3.0
"""A terminal that never answers counts as having drawn it after this long; one that has answered before is asked again."""
MOST_TRIES = 10
"""After so many questions even a terminal that used to answer counts as dumb: nobody is locked out for good."""
DONE_SECONDS = 0.5
"""A key whose trace was lost counts as done after this long."""
LOOK_SECONDS = 0.03
"""So often it is looked whether the widget that a trace went through was removed; then it goes through the screen instead."""

TYPED = (events.Key, events.Paste, events.MouseDown, events.MouseUp)


class Guarded:
    """A dialog, as the guard sees it: keys that arrived before `heard_from` do not count."""

    ARMED: ClassVar[bool] = True
    """False for dialogs that only show something: keys need not wait."""
    heard_from: float = inf


@dataclass(eq=False, slots=True)
class Drawing:
    """A dialog that the terminal has yet to draw."""

    dialog: Guarded
    tries: int = 0


class KeyDone(events.Event, bubble=True, verbose=True):
    """Follows a key through all widgets it passes; back at the app, what the key set off is done."""

    def __init__(self, number: int, rounds: int) -> None:
        super().__init__()
        self.number = number
        self.rounds = rounds


class TypeAheadGuard(App[Any]):
    """An app that is deaf while a dialog is not yet drawn, and takes keys one at a time."""

    _drawing: Drawing | None = None
    _answers: bool = False
    _number: int = 0
    _busy: bool = False
    _traced: KeyDone | None = None

    def __init__(self) -> None:
        super().__init__()
        self._asked: deque[Drawing | None] = deque()  # one per question that the terminal has not answered yet
        self._typed: deque[events.Event] = deque()

    def on_mount(self) -> None:
        """Find out whether this terminal answers at all."""
        self._ask(None)

    async def on_event(self, event: events.Event) -> None:
        """Take what was typed in turn, and the terminal's answers."""
        if isinstance(event, TYPED) and not event.is_forwarded:
            self._typed.append(event)
            await self._take_next()
        elif isinstance(event, KeyDone):
            await self._followed(event)
        elif isinstance(event, events.CursorPosition) and self._asked:
            self._answered()
        else:
            await super().on_event(event)

    @property
    def deaf_until(self) -> float:
        """What was typed before this moment is dropped."""
        stack = self._screen_stacks.get(self._current_mode)
        if not stack:  # typed before the first screen is there
            return inf
        top = stack[-1]
        return top.heard_from if isinstance(top, Guarded) and top.ARMED else 0.0

    @deaf_until.setter
    def deaf_until(self, moment: float) -> None:
        if isinstance(self.screen, Guarded):
            self.screen.heard_from = moment

    def deafen(self, dialog: Guarded) -> None:
        """A dialog opens, or lies on top again: it hears nothing until the terminal has drawn it."""
        dialog.heard_from = inf
        self._drawing = Drawing(dialog)
        self.call_after_refresh(self._ask, self._drawing)

    def hear(self) -> None:
        """The dialog is drawn: keys count after a moment."""
        drawing, self._drawing = self._drawing, None
        if drawing is not None:
            drawing.dialog.heard_from = monotonic() + SETTLE_SECONDS

    async def _take_next(self) -> None:
        while self._typed and not self._busy:
            event = self._typed.popleft()
            if event.time >= self.deaf_until:
                self._busy = True
                self._number += 1
                target = self.focused or self.screen
                await super().on_event(event)
                self._follow(target, KeyDone(self._number, rounds=2))

    def _follow(self, target: Any, trace: KeyDone) -> None:
        self._traced = trace
        if not target.post_message(trace):
            self.post_message(KeyDone(trace.number, rounds=0))
        else:
            asyncio.get_running_loop().call_later(
                LOOK_SECONDS, self._look_after, target, trace, monotonic() + DONE_SECONDS
            )

    def _look_after(self, target: Any, trace: KeyDone, until: float) -> None:
        """A removed widget (the page before) passes nothing on: its trace begins again at the screen."""
        if trace.number != self._number or not self._busy or self._traced is not trace or not self.is_running:
            return
        if not target.is_attached and target is not self.screen:
            self._follow(self.screen, KeyDone(trace.number, trace.rounds))
        elif monotonic() < until:
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look_after, target, trace, until)
        else:
            self.post_message(KeyDone(trace.number, rounds=0))

    async def _followed(self, trace: KeyDone) -> None:
        """Round one follows the key, round two what it set off (a pressed button's message)."""
        if trace.number != self._number or not self._busy:
            return
        if trace.rounds > 1:
            self._follow(self.focused or self.screen, KeyDone(trace.number, trace.rounds - 1))
            return
        self._busy = False
        await self._take_next()

    def _ask(self, drawing: Drawing | None) -> None:
        if drawing is not self._drawing:
            return
        if self._driver is not None and not self.is_headless:
            self._asked.append(drawing)
            self._driver.write("\x1b[6n")
            self._driver.flush()
        if drawing is not None:
            drawing.tries += 1
            self.set_timer(ANSWER_SECONDS, partial(self._unanswered, drawing))

    def _answered(self) -> None:
        """Answers come in the order of the questions: one to an earlier question says nothing about this dialog."""
        self._answers = True
        drawing = self._asked.popleft()
        if drawing is not None and drawing is self._drawing:
            self.hear()

    def _unanswered(self, drawing: Drawing) -> None:
        if drawing is not self._drawing:
            return
        if self._answers and drawing.tries < MOST_TRIES:
            self._ask(drawing)
        else:
            self.hear()

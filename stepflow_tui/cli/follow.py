"""Follows a run: reads its journal and hands events and progress to a view until the run ends or the operator leaves.

Reading happens in a thread, four times a second; only news is read. Nothing here can disturb the engine.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stepflow_tui.engine.errors import EngineLost, NeedsConfirmation
from stepflow_tui.engine.model.events import is_public
from stepflow_tui.engine.model.state import RunState
from stepflow_tui.facade import RunReaderApi
from stepflow_tui.render.events import public_event

POLL_SECONDS = 0.25
LOST_AFTER = 4
"""Looks at a free lock, one after the other, before the engine counts as lost: it may just be ending."""
UNANSWERED_LOOKS = 8
"""Looks that an engine has to end by itself, when nobody can answer its gate."""
ENTERED = -1
"""What `follow` returns when Enter was pressed."""


class View(Protocol):
    """Where events and progress are shown."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Show one event."""
        ...

    def progress(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show the newest progress rows."""
        ...

    def close(self) -> None:
        """End a display that moves."""
        ...


Gate = Callable[[Mapping[str, Any]], Awaitable[bool]]
"""Answers an open gate; False: nobody can answer it here."""


@dataclass(slots=True, kw_only=True)
class Follower:
    """One front end watching one run.

    `after` is the last event already shown; `until` ends the following early (0) when it says so of an event;
    `gate` answers open gates; `enter` is the terminal whose lines end the following with `ENTERED`. `rests`: a run that
    only keeps its way back, or waits at its `--until` (`held`), ends the following too (0); `resting` tells that it did.
    """

    run: str
    reader: RunReaderApi
    view: View
    after: int = 0
    until: Callable[[Mapping[str, Any]], bool] | None = None
    gate: Gate | None = None
    enter: int | None = None
    rests: bool = False
    resting: bool = False
    held: bool = False
    last: Mapping[str, Any] | None = None
    _backlog: int = 0
    _asked: Mapping[str, Any] | None = None
    _unanswered: int = 0
    _free: int = 0
    _version: int | None = None
    _signal: list[int] = field(default_factory=list)
    _before: dict[int, Any] = field(default_factory=dict)

    async def follow(self) -> int:
        """Watch until the run, or this watcher, ends.

        Returns:
            The run's exit code; 130 or 143 when this process was told to leave; `ENTERED`.

        Raises:
            EngineLost: no engine holds the run, and it did not say how it ended.
            NeedsConfirmation: a gate waits for an answer that can't be given here.
        """
        self._backlog = await asyncio.to_thread(self.reader.max_seq)
        stop = asyncio.Event()
        self._signal = [code for code in self._signal if code != ENTERED]  # that line may have been read meanwhile
        self._listen(stop)
        if self._signal:
            stop.set()
        try:
            while True:
                code = await self._look(stop)
                if code is not None:
                    return code
                if await _waited(stop):
                    return self._signal.pop(0)
        finally:
            self._deaf()
            self.view.close()

    def _listen(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self._leave, 128 + number, stop)
        if self.enter is not None:
            loop.add_reader(self.enter, self._leave, ENTERED, stop)

    def _deaf(self) -> None:
        loop = asyncio.get_running_loop()
        if self.enter is not None:
            loop.remove_reader(self.enter)
        for number, before in self._before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, before)

    def _leave(self, code: int, stop: asyncio.Event) -> None:
        if self.enter is not None:
            asyncio.get_running_loop().remove_reader(self.enter)  # the line is still there, and would call again
        self._signal.append(code)
        stop.set()

    def leave(self, code: int) -> None:
        """End the following with this code, or the next one before it begins; called by handlers of signals."""
        self._signal.append(code)

    def answered(self) -> None:
        """The open gate needs no asking here any more."""
        self._asked = None

    async def _look(self, stop: asyncio.Event) -> int | None:
        """One look at the journal; a number ends the following."""
        alive = (await asyncio.to_thread(self.reader.engine)).alive
        version = await asyncio.to_thread(self.reader.data_version)
        if version != self._version:
            self._version = version
            if await self._news() or (alive and await self._rests()):
                return 0
        code = self._ended(alive)
        if code is not None:
            return code
        self._free = 0 if alive else self._free + 1
        if self._free >= LOST_AFTER:
            await self._news()  # its last words may have come after the look before
            code = self._ended(alive)
            if code is None:
                raise EngineLost("The engine of this run is gone.")
            return code
        await self._answer(stop)
        return None

    async def _rests(self) -> bool:
        """Whether nothing is left to wait for but the end of the observation."""
        state = (await asyncio.to_thread(self.reader.run) or {}).get("state")
        if not self.rests or not (state == RunState.OBSERVING or (self.held and state == RunState.WAITING)):
            return False
        await self._news()  # the state is written before the event that tells of it
        self.resting = True
        return True

    async def _news(self) -> bool:
        """Show what is new; true when `until` has had enough."""
        while rows := await asyncio.to_thread(self.reader.events, self.after):
            for row in rows:
                self.after = int(row["seq"])
                if is_public(row["code"]) and self._show(public_event(row, self.run)):
                    return True
        self.view.progress(progress_rows(await asyncio.to_thread(self.reader.progress)))
        return False

    def _show(self, event: Mapping[str, Any]) -> bool:
        self.last = event
        self.view.event(event)
        if event["event"] == "gate":
            self._asked = event if event.get("state") == "open" else None
            # one from before this front end asked for anything says nothing about what it asked for
            self.held = event.get("state") == "held" and self.after > self._backlog
            self._unanswered = 0
        return self.until is not None and self.until(event)

    def _ended(self, alive: bool) -> int | None:
        """The exit code when the last event ends the run; an old ending counts only if no engine goes on after it."""
        if self.last is None or self.last["event"] != "run_finished":
            return None
        return None if alive and self.after <= self._backlog else int(self.last["exit_code"])

    async def _answer(self, stop: asyncio.Event) -> None:
        if self._asked is None or self.gate is None:
            return
        self.view.close()
        # while somebody types, Ctrl-C must end this process as usual
        self._deaf()
        try:
            answered = await self.gate(self._asked)
        finally:
            self._listen(stop)
        if answered:
            self._asked = None
            return
        # an engine that does not stay says so itself; its words are better than ours
        self._unanswered += 1
        if self._unanswered > UNANSWERED_LOOKS:
            raise NeedsConfirmation(
                f"The run waits at the gate before {self._asked['phase']}.",
                hint=f"Answer it with `stepflow continue {self.run}`, or run again with --yes.",
            )


def progress_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Journal rows as `progress` events show them; a step that reports only its items gets a line of their sums."""
    shown = [
        {
            **{k: row[k] for k in ("step", "item", "done", "total", "unit", "eta_state", "throttle")},
            "rate_per_second": row["rate"],
            "eta_seconds": row["eta_s"],
        }
        for row in rows
    ]
    whole = {row["step"] for row in shown if not row["item"]}
    for step in dict.fromkeys(row["step"] for row in shown):
        if step not in whole:
            shown.append(_sum([row for row in shown if row["step"] == step]))
    return shown


def _sum(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    totals = [row["total"] for row in items]
    rates = [row["rate_per_second"] for row in items if row["rate_per_second"] is not None]
    etas = [row["eta_seconds"] for row in items if row["eta_seconds"] is not None]
    return {
        **items[0],
        "item": "",
        "done": sum(row["done"] for row in items),
        "total": None if None in totals else sum(totals),
        "rate_per_second": round(sum(rates), 1) if rates else None,
        "eta_seconds": max(etas, default=None),
        "throttle": next((row["throttle"] for row in items if row["throttle"]), ""),
    }


async def _waited(stop: asyncio.Event) -> bool:
    """Whether the operator left while we waited for the next look."""
    try:
        await asyncio.wait_for(stop.wait(), POLL_SECONDS)
    except TimeoutError:
        return False
    return True

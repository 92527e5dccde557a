"""Between journal and screens: news of one run as snapshots, intents of the operator back. Nothing else talks to a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from textual.message import Message

from stepflow_tui.crashes import unforeseen
from stepflow_tui.demo.figures import counters
from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.facade import Facade, RunInfo, RunReaderApi
from stepflow_tui.render.events import public_event

FIRST_EVENTS = 200
"""Of a long past, the wizard starts with so many events; the journal screen has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WizardOptions:
    """How the wizard was opened.

    Args:
        state: the state directory.
        folder: where configs are looked for and written.
        read_only: refuse everything that acts.
        ascii: no characters beyond ASCII in frames, bars and signs.
        encoding: what the terminal understands; with `ascii`, anything else is shown as question marks.
        slow: fewer and cheaper repaints, for slow lines.
        mouse: whether the mouse is used.
        open_run: the run to show first; else the list of runs.
        new_run: the config whose run is started or resumed first.
        env: variables for `${VAR}` in configs, kept in memory only.
        now: the clock of everything shown.
    """

    state: Path
    folder: Path = field(default_factory=Path.cwd)
    read_only: bool = False
    ascii: bool = False
    encoding: str = "utf-8"
    slow: bool = False
    mouse: bool = True
    open_run: RunInfo | None = None
    new_run: Path | None = None
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A run as it is now.

    Args:
        run: the run's id.
        path: its folder.
        status: the object of `status --json`.
        events: what is new since the snapshot before, in order, as `run --json` prints it, with `seq`.
        skipped: how many earlier events are not shown.
        now: when it was taken.
        error: why the journal can't be read just now; then the rest is the last known state.
    """

    run: str
    path: Path
    status: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...] = ()
    skipped: int = 0
    now: datetime
    error: StepFlowError | None = None


class SnapshotArrived(Message):
    """The newest state of the open run."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class Bridge:
    """One open run. `look` blocks a few milliseconds: call it in a thread."""

    def __init__(self, api: Facade, run: RunInfo, options: WizardOptions) -> None:
        self.api = api
        self.run = run
        self.options = options
        self.front = terminal_name()
        self.who = api.sender(self.front)
        self._stack = ExitStack()
        self._reader: RunReaderApi | None = None
        self._after = 0
        self._skipped = 0
        self._last: Mapping[str, Any] = {}
        self._lock = Lock()
        self._closed = False

    @property
    def reader(self) -> RunReaderApi:
        """The run's journal, opened when it is first needed; from then on this front end counts as an observer."""
        if self._reader is None:
            self._reader = self._stack.enter_context(self.api.RunReader(self.run.path))
            self._stack.enter_context(self.api.watching(self.run.path))
            newest = self._reader.max_seq()
            if not self._after and newest > 2 * FIRST_EVENTS:
                self._after = self._skipped = newest - FIRST_EVENTS
        return self._reader

    def look(self) -> Snapshot:
        """The state now and the events since the last look. A journal that can't be read gives the last known state."""
        with self._lock:
            return self._snapshot((), None) if self._closed else self._look()

    def _look(self) -> Snapshot:
        rows: list[Mapping[str, Any]] = []
        error: StepFlowError | None = None
        try:
            self.reader.check_in_place()
            while more := self.reader.events(self._after):
                rows += more
                self._after = int(more[-1]["seq"])
            self._last = self.reader.status() | self._shop()
        except StepFlowError as exc:
            error = exc
        except (OSError, ValueError, LookupError, TypeError) as exc:  # rows that no engine writes: the file is damaged
            error = StepFailed(f"The journal of {self.run.id} can't be read.", detail=str(exc), code="journal_failed")
        except Exception as exc:  # the border of a look: shown like any other reason, and looked again
            error = unforeseen(exc, self.options.state)
        if error is not None:
            self._let_go()
        return self._snapshot(tuple(public_event(row, self.run.id) for row in rows), error)

    def _shop(self) -> dict[str, Any]:
        """Figures of the shop that trades on a demo's data, as `shop`; nothing for any other run."""
        found = counters(self.run.path.parents[1] / "demo" / self.run.path.name)
        return {"shop": found} if found else {}

    def _let_go(self) -> None:
        """Close the journal; the next look opens it anew."""
        self._stack.close()
        self._reader = None

    def _snapshot(self, events: tuple[Mapping[str, Any], ...], error: StepFlowError | None) -> Snapshot:
        return Snapshot(
            run=self.run.id,
            path=self.run.path,
            status=self._last,
            events=events,
            skipped=self._skipped,
            now=self.options.now(),
            error=error,
        )

    async def send(self, verb: str, args: Mapping[str, Any], *, take_control: bool = False) -> Mapping[str, Any]:
        """Append an intent and wait for the engine's answer.

        Raises:
            StepFlowError: it was refused (`Held`: somebody else has control), or nobody answered.
        """
        return await self.api.send(
            self.run,
            verb,
            args,
            state=self.options.state,
            take_control=take_control,
            front=self.front,
            env=self.options.env,
        )

    def close(self) -> None:
        """Stop watching. Waits for a look under way: a connection closed under its query ends the process."""
        with self._lock:
            self._closed = True
            self._let_go()


def terminal_name() -> str:
    """The terminal this front end sits at (`pts/3`): two wizards of one person are two holders of control."""
    for number in (0, 1, 2):
        try:
            return os.ttyname(number).removeprefix("/dev/")
        except OSError:
            continue
    return f"pid {os.getpid()}"

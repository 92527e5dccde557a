"""The measuring child's side of a benchmark: one JSON line in, one out, turn by turn. Imports little, so that it starts fast."""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.benchmark_stats import histogram

MOST_ROWS = 200_000
"""Rows after which one measurement ends before its time, so that its files and samples stay small."""

_LONGEST_ERROR = 200


class Turns:
    """Lines from stdin. A thread reads them: when the parent is gone, the process ends at once, whatever it is doing."""

    def __init__(self) -> None:
        self.orphaned: Callable[[], None] | None = None
        self._lines: queue.Queue[bytes] = queue.Queue()
        os.umask(0o077)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its children
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> dict[str, Any]:
        """What the parent wants next; waits for it."""
        message: dict[str, Any] = json.loads(self._lines.get())
        return message

    def say(self, message: dict[str, Any]) -> None:
        """One line to the parent."""
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            self._lines.put(line)
        try:
            if self.orphaned is not None:
                self.orphaned()  # the parent may have been killed: nobody else is left to tidy up
        finally:
            os._exit(0)


def answer(turns: Turns, handle: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """One turn: what `handle` returns, or the StepFlowError it raised."""
    try:
        turns.say(handle(turns.next()))
    except StepFlowError as error:
        turns.say({"error": [type(error).__name__, error.message, error.detail, error.hint, error.code]})


class Tally:
    """What one client did in one measurement. Every attempt is counted; only those that were answered have a latency."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._taken: list[int] = []
        self.operations = self.inserted = self.locked = self.errors = 0
        self.first_error = ""
        self._cpu = self._began = self._last = 0.0

    def begin(self, at: float) -> None:
        """Wait for the moment (monotonic seconds) at which all clients begin."""
        time.sleep(max(0.0, at - time.monotonic()))
        self._began = self._last = time.monotonic()
        self._cpu = _cpu_seconds()

    def going(self) -> bool:
        """Whether another operation may begin."""
        return self._last - self._began < self._seconds and self.operations < MOST_ROWS

    def done(self, nanoseconds: int, operations: int, inserted: int) -> None:
        """One answered request."""
        self._taken.append(nanoseconds)
        self.operations += operations
        self.inserted += inserted
        self._last = time.monotonic()

    def failed(self, text: str, *, locked: bool) -> None:
        """One request that failed."""
        self.errors += 1
        self.locked += locked
        self.first_error = self.first_error or text[:_LONGEST_ERROR]
        self._last = time.monotonic()

    def result(self) -> dict[str, Any]:
        """Everything, JSON-ready; `per_second` by this client's own time."""
        return {
            "operations": self.operations, "inserted": self.inserted, "locked": self.locked, "errors": self.errors,
            "first_error": self.first_error, "cpu_seconds": _cpu_seconds() - self._cpu,
            "per_second": self.operations / max(1e-9, self._last - self._began),
            "histogram": sorted(histogram(self._taken).items()),
        }  # fmt: skip


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

"""How far the copy is: rows per table and in all, rate, time left."""

from __future__ import annotations

from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.control import Report
from stepflow_tui.engine.model.progress import EtaState, Progress

_MEASURE_SECONDS = 2.0
"""Before that a rate says nothing."""


class Meter:
    """Counts rows and reports.

    Args:
        step: name of the step the progress belongs to.
        totals: rows of each table, as the census counted them.
        report: takes the progress.
        clock: time.
    """

    def __init__(self, step: str, totals: dict[str, int], report: Report, clock: Clock) -> None:
        self._step = step
        self._totals = totals
        self._done = dict.fromkeys(totals, 0)
        self._before = dict(self._done)
        self._began: dict[str, float] = {}
        self._report = report
        self._clock = clock
        self._start = clock.monotonic()
        self._throttle = ""

    def restart(self, done: dict[str, int]) -> None:
        """Count on from what the ledger says was dealt with before."""
        self._done = {table: done.get(table, 0) for table in self._totals}
        self._before = dict(self._done)
        self._start = self._clock.monotonic()

    def begin(self, table: str) -> None:
        """A chunk of the table starts."""
        self._began.setdefault(table, self._clock.monotonic())

    def add(self, table: str, rows: int) -> None:
        """Rows that are dealt with: copied or rejected."""
        self._done[table] += rows
        self._throttle = ""
        self._send(table, self._done[table], self._totals[table], self._before[table], self._began[table])
        self.show()

    def seconds(self, table: str) -> float:
        """Since the table's first chunk of this engine."""
        return self._clock.monotonic() - self._began[table] if table in self._began else 0.0

    def throttled(self, reason: str) -> None:
        """The copy waits."""
        self._throttle = reason
        self.show()

    def show(self) -> None:
        """Report the step as a whole."""
        self._send("", sum(self._done.values()), sum(self._totals.values()), sum(self._before.values()), self._start)

    def _send(self, item: str, done: int, total: int, before: int, began: float) -> None:
        passed = self._clock.monotonic() - began
        rate = (done - before) / passed if passed > 0 else None
        left = max(0, total - done)
        if left == 0:
            state, eta = EtaState.DUE, 0.0
        elif rate and passed >= _MEASURE_SECONDS:
            state, eta = EtaState.READY, left / rate
        else:
            state, eta = EtaState.MEASURING, None
        self._report(
            Progress(
                step=self._step, item=item, done=done, total=total, unit="rows", rate_per_second=rate,
                eta_seconds=eta, eta_state=state, throttle=self._throttle,
            )
        )  # fmt: skip

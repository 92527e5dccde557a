"""`ReadRouter`: which database a read goes to, for applications without asyncio."""

from __future__ import annotations

import operator
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from stepflow_tui.client.buckets import OLD, Key, Side
from stepflow_tui.client.fence import retry
from stepflow_tui.client.lease import Lease, LeaseFile, LeaseView
from stepflow_tui.client.reports import Figures
from stepflow_tui.client.shadows import Job, ShadowThreads

T = TypeVar("T")

Report = Callable[[str, str], object]
"""Delivers a batch: the router's name and JSON text. See `dbapi_report`."""


class Routing:
    """What both routers share: the lease, the decision and the figures. Needs no PostgreSQL.

    Args:
        source: the SQLite file, or a function that returns the lease (`Lease.of(row)` of a row of `LEASE_SQL`), for
            applications that open the file with another SQLite library than Python's: two libraries in one process
            void each other's locks.
        refresh: seconds between two looks at the lease.
        unmanaged: the side while StepFlow is not in the file: "sqlite" before a migration, "postgresql" after it.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Callable[[], Lease | None],
        *,
        refresh: float = 0.2,
        unmanaged: Side = OLD,
    ) -> None:
        self._file = None if callable(source) else LeaseFile(source)
        read = source if callable(source) else self._file
        assert read is not None
        self.view = LeaseView(read, refresh=refresh, unmanaged=unmanaged)
        self.figures = Figures()

    def route(self, key: Key, user: Key | None = None, groups: Sequence[str] = ()) -> Side:
        """Where this key reads now: "sqlite" or "postgresql". Costs microseconds; never waits and never raises for a
        database's sake.

        Args:
            key: what keeps to one side, usually the user's or tenant's id.
            user, groups: names that the switch may have been told to move first.

        Raises:
            TypeError: a key that is no str, int, bytes or UUID.
        """
        return self.view.side(key, user, groups)

    def write_owner(self) -> Side:
        """Who owns writes now. A read that must see a write just made goes there too."""
        return self.view.owner()

    def mismatch(self, table: str | None = None, key: Key | None = None) -> None:
        """Both sides answered differently. With the SQLite table and key the engine compares the row itself before it
        counts; without them the caller has made sure (asked both again after a while)."""
        if table is not None and key is not None:
            self.figures.suspect(table, key)
        else:
            self.figures.count("mismatches")


class ReadRouter(Routing):
    """Routes reads, measures them, compares some, and reports all that to the engine.

    Args:
        source, refresh, unmanaged: see `Routing`.
        report: delivers figures; None: nothing is reported. Called from a thread of the router's own.
        every: seconds between two batches.
        shadow: the share (0 to 1) of `read` calls that also ask the other side.
        shadow_workers, shadow_timeout, confirm_after: the budget of shadow reads, see `ShadowThreads`.
    """

    def __init__(
        self, source: str | os.PathLike[str] | Callable[[], Lease | None], *, report: Report | None = None,
        refresh: float = 0.2, unmanaged: Side = OLD, every: float = 1.0, shadow: float = 0.0,
        shadow_workers: int = 2, shadow_timeout: float = 1.0, confirm_after: float = 2.0,
    ) -> None:  # fmt: skip
        super().__init__(source, refresh=refresh, unmanaged=unmanaged)
        self._report, self._every, self._share = report, every, shadow
        self._shadows = ShadowThreads(
            self.figures, workers=shadow_workers, timeout=shadow_timeout, confirm_after=confirm_after
        )
        self._stop = threading.Event()
        self._process = 0

    def __enter__(self) -> ReadRouter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(
        self, key: Key, fetch: Callable[[Side], T], *, user: Key | None = None, groups: Sequence[str] = (),
        same: Callable[[T, T], bool] = operator.eq,
    ) -> T:  # fmt: skip
        """Route, run `fetch(side)`, measure it, and now and then compare with the other side in the background.

        Args:
            fetch: reads from the side it is given; for shadow reads it is called from other threads too.
            same: whether two answers are equal.
        """
        side = self.route(key, user, groups)
        start = time.perf_counter()
        try:
            answer = fetch(side)
        except Exception as error:
            self.record(side, time.perf_counter() - start, error)
            raise
        self.record(side, time.perf_counter() - start)
        if self._share and random.random() < self._share:  # noqa: S311 - sampling
            self.shadow(side, answer, fetch, same=same)
        return answer

    def record(self, side: Side, seconds: float, error: BaseException | bool | None = None) -> None:
        """Count a read that was made by hand. `error`: what it raised, or True; timeouts are told apart by their class."""
        self.figures.read(side, seconds, error)
        self._start()

    def shadow(
        self, side: Side, answer: T, fetch: Callable[[Side], T], *, same: Callable[[T, T], bool] = operator.eq
    ) -> bool:
        """Ask the other side in the background and compare with `answer`, which `side` gave. Returns False where the
        budget is used up."""
        taken = self._shadows.submit(Job(side, answer, fetch, same))
        self._start()
        return taken

    def write(self, write: Callable[[Side], T], *, timeout: float = 30.0) -> T:
        """Run one transaction on the side that owns writes, again on the other one if they move meanwhile. Raises
        FenceTimeout when they are refused for longer than `timeout` seconds."""
        return retry(self.view, write, timeout=timeout)

    def flush(self) -> bool:
        """Deliver the batch now; False when that failed (it is dropped and counted in `figures.lost`) or is switched off."""
        self._shadows.expire()
        batch = self.figures.take()
        if batch is None or self._report is None:
            return batch is None
        try:
            self._report(self.figures.router, batch[0])
        except Exception:  # figures are never worth an error in the application
            self.figures.lost += batch[1]
            return False
        return True

    def close(self) -> None:
        """Send what is left and end the threads."""
        self._stop.set()
        self._shadows.close()
        self.flush()
        if self._file is not None:
            self._file.close()

    def _start(self) -> None:
        """The reporting thread starts with the first figures, and again in a forked process."""
        if self._report is None or self._process == os.getpid():
            return
        self._process = os.getpid()
        threading.Thread(target=self._run, name="stepflow-report", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.flush()

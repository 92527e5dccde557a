"""Shadow reads of a synchronous application: the other side is asked too, beside the request and never in its way.

Few worker threads and a short queue are the whole budget: when they are busy, a shadow read is left out and counted. What
goes wrong in one is counted and goes no further. A difference counts only if it is still there after the change log has
been applied once more, and if the answering side said the same both times.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from stepflow_tui.client.buckets import NEW, OLD, Side
from stepflow_tui.client.reports import Figures

ATTEMPTS: Final = 3
"""How often a row that keeps changing is looked at."""


def other(side: Side) -> Side:
    """The opposite side."""
    return OLD if side == NEW else NEW


@dataclass(slots=True)
class Job:
    """One shadow read. `answer` is what the request got from `side`; `fetch` asks a side."""

    side: Side
    answer: Any
    fetch: Callable[[Side], Any]
    same: Callable[[Any, Any], bool]
    started: float = 0.0
    counted: bool = False


class ShadowThreads:
    """Runs shadow reads in daemon threads.

    Args:
        figures: where they are counted.
        workers: how many at once.
        timeout: seconds after which one counts as timed out; its own driver has to end it.
        confirm_after: seconds between the two looks at a difference.
    """

    def __init__(self, figures: Figures, *, workers: int = 2, timeout: float = 1.0, confirm_after: float = 2.0) -> None:
        self._figures, self._workers = figures, workers
        self._timeout, self._confirm_after = timeout, confirm_after
        self._lock = threading.Lock()
        self._process = 0
        self._start_anew()

    def _start_anew(self) -> None:
        self._queue: queue.Queue[Job | None] = queue.Queue(self._workers * 2)
        self._running: set[int] = set()
        self._jobs: dict[int, Job] = {}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def submit(self, job: Job) -> bool:
        """Queue it; False (and counted) where the budget is used up."""
        with self._lock:
            if self._process != os.getpid():  # first use, or a fork: threads did not come over
                self._start_anew()
                self._process = os.getpid()
            if len(self._threads) < self._workers:
                thread = threading.Thread(target=self._work, name="stepflow-shadow", daemon=True)
                self._threads.append(thread)
                thread.start()
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            self._figures.count("skipped")
            return False
        return True

    def expire(self) -> None:
        """Count as timed out what runs for too long; called before a batch is sent."""
        now = time.monotonic()
        with self._lock:
            for job in self._jobs.values():
                if not job.counted and now - job.started > self._timeout:
                    job.counted = True
                    self._figures.shadow(other(job.side), now - job.started, TimeoutError())

    def close(self) -> None:
        """Let the threads end after what they are doing."""
        self._stopping.set()
        for _ in self._threads:
            try:
                self._queue.put_nowait(None)
            except queue.Full:
                return  # they are busy and look at the event next

    def _work(self) -> None:
        me, jobs, todo, stopping = threading.get_ident(), self._jobs, self._queue, self._stopping
        while not stopping.is_set():
            job = todo.get()
            if job is None:
                return
            job.started = time.monotonic()
            with self._lock:
                jobs[me] = job
            try:
                self._compare(job, stopping)
            except Exception:  # the application's own comparison failed: no statement about the data
                self._figures.count("moving")
            finally:
                with self._lock:
                    jobs.pop(me, None)

    def _compare(self, job: Job, stopping: threading.Event) -> None:
        answer = job.answer
        found = self._ask(job)
        for _ in range(ATTEMPTS):
            if found is None or job.same(answer, found[0]):
                return
            if stopping.wait(self._confirm_after):
                return
            before, answer = answer, job.fetch(job.side)
            found = self._again(job)
            if found is not None and job.same(before, answer) and not job.same(answer, found[0]):
                self._figures.count("mismatches")
                return
        self._figures.count("moving")

    def _ask(self, job: Job) -> tuple[Any] | None:
        """The other side's answer, timed and counted; None when there was none."""
        start = time.monotonic()
        failure: BaseException | None = None
        answer: tuple[Any] | None = None
        try:
            answer = (job.fetch(other(job.side)),)
        except Exception as error:  # the candidate's errors are figures
            failure = error
        seconds = time.monotonic() - start
        with self._lock:
            late, job.counted = job.counted, True
        if not late:
            slow = TimeoutError() if seconds > self._timeout else None
            self._figures.shadow(other(job.side), seconds, failure or slow)
        return answer

    def _again(self, job: Job) -> tuple[Any] | None:
        try:
            return (job.fetch(other(job.side)),)
        except Exception:  # an error says nothing about the data
            return None

"""Progress: the newest of every item in memory, written at most once a second, flushed at the end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from stepflow_tui.engine.journal.writer import Writer
from stepflow_tui.engine.model.progress import EtaState, Progress

WINDOW_SECONDS = 10.0
MEASURE_SECONDS = 2.0
"""A rate from less than that is noise."""


@dataclass(slots=True)
class _Item:
    newest: Progress
    seen: deque[tuple[float, int]] = field(default_factory=deque)
    rev: int = 0
    dirty: bool = True


class ProgressBook:
    """Keeps the newest progress of every item and works out rate and time left where the reporter gave none."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str], _Item] = {}

    def note(self, progress: Progress, now: float) -> None:
        """Take a progress; `now` in monotonic seconds."""
        item = self._items.get((progress.step, progress.item))
        if item is None:
            item = self._items[progress.step, progress.item] = _Item(progress)
        item.newest, item.dirty = progress, True
        if not item.seen or now - item.seen[-1][0] >= 0.25:
            item.seen.append((now, progress.done))
        while len(item.seen) > 2 and now - item.seen[0][0] > WINDOW_SECONDS:
            item.seen.popleft()

    def take(self, now: float) -> list[tuple[Progress, int]]:
        """What changed since the last call, with its revision."""
        taken = []
        for item in self._items.values():
            if item.dirty:
                item.dirty, item.rev = False, item.rev + 1
                taken.append((_measured(item, now), item.rev))
        return taken


def _measured(item: _Item, now: float) -> Progress:
    p = item.newest
    if p.total is not None and p.done >= p.total:
        return replace(p, eta_state=EtaState.DUE, eta_seconds=0.0)
    if p.rate_per_second is not None:
        return p
    since, before = item.seen[0]
    span = now - since
    if span < MEASURE_SECONDS or p.done <= before:
        return replace(p, eta_state=EtaState.MEASURING if p.total is not None else EtaState.NONE)
    rate = (p.done - before) / span
    if p.total is None:
        return replace(p, rate_per_second=round(rate, 1))
    left = round((p.total - p.done) / rate, 1)
    return replace(p, rate_per_second=round(rate, 1), eta_seconds=left, eta_state=EtaState.READY)


class ProgressRows(Writer):
    """The progress rows of a run."""

    @property
    def _book(self) -> ProgressBook:
        book: ProgressBook | None = self.__dict__.get("_progress_book")
        if book is None:
            book = self.__dict__["_progress_book"] = ProgressBook()
        return book

    def report(self, progress: Progress) -> None:
        """`model.control.Report`: cheap, may be called for every chunk."""
        self._book.note(progress, self.clock.monotonic())

    async def flush_progress(self) -> None:
        """Write what changed; called once a second by the engine, and at the end of every step."""
        taken = self._book.take(self.clock.monotonic())
        if not taken:
            return
        await self.executemany(
            "INSERT OR REPLACE INTO progress(step,item,done,total,unit,rate,eta_s,eta_state,throttle,rev) VALUES(?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    p.step,
                    p.item,
                    p.done,
                    p.total,
                    p.unit,
                    p.rate_per_second,
                    p.eta_seconds,
                    p.eta_state.value,
                    p.throttle,
                    rev,
                )
                for p, rev in taken
            ],
        )

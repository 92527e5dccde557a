"""The history of a run, page by page: what is asked of the journal, in a thread, and written to files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stepflow_tui.facade import Facade, RunInfo
from stepflow_tui.files import save_text
from stepflow_tui.render.events import public_event
from stepflow_tui.render.history import AUDIT, KINDS, Stamp, audit_event, history_lines, named, ndjson, said, written

Event = Mapping[str, Any]

PAGE = 200
KEPT = 1000
"""Events in memory; one page more at one edge forgets as many at the other."""
EXPORT_PAGE = 2000

Where = Literal["newest", "oldest", "older", "newer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What of the history is wanted: a kind of `KINDS`, and what its events must hold."""

    kind: str = "all"
    text: str = ""

    @property
    def audited(self) -> bool:
        """Whether it is about the audit, a list of its own."""
        return self.kind == AUDIT

    @property
    def filters(self) -> dict[str, Any]:
        """For the journal."""
        text = {"text": written(self.text), "named": named(self.text)} if self.text else {}
        return {"codes": KINDS[self.kind], **text}


@dataclass(slots=True, kw_only=True)
class Loaded:
    """The part of the history that is in memory.

    Args:
        from_start, to_end: whether nothing comes before or after it.
        looked: the `seq` up to which the journal was looked through.
    """

    events: list[Event] = field(default_factory=list)
    from_start: bool = False
    to_end: bool = False
    looked: int = 0

    def edge(self, where: Where) -> dict[str, int]:
        """What to ask the journal for."""
        first, last = (int(e["seq"]) for e in (self.events[0], self.events[-1])) if self.events else (0, 0)
        edges = {"oldest": {"after": 0}, "older": {"before": first}, "newer": {"after": max(last, self.looked)}}
        return edges.get(where, {})

    def take(self, where: Where, found: list[Event], looked: int) -> None:
        """Take what was found. `looked`: the newest event there was when it was asked for."""
        full = len(found) == PAGE
        if where == "older":
            self.events, self.from_start = found + self.events, not full
            self.to_end = self.to_end and len(self.events) <= KEPT
            del self.events[KEPT:]
            return
        self.from_start = where == "oldest" or not full if where != "newer" else self.from_start
        self.events = self.events + found if where == "newer" else found
        if len(self.events) > KEPT:
            self.from_start, self.events = False, self.events[-KEPT:]
        self.to_end = where == "newest" or not full
        self.looked = looked if self.to_end else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One run's history. Every call blocks and opens the journal anew: it is called in threads.

    Args:
        kind: of the run: some phases and steps have other titles in one kind.

    Raises:
        StepFlowError: the journal can't be read.
    """

    api: Facade
    run: RunInfo
    kind: str = ""

    def page(
        self, query: Query, *, before: int | None = None, after: int | None = None, limit: int = PAGE
    ) -> list[Event]:
        """Events, oldest first: the first after a `seq`, else the last before one, else the newest."""
        if query.audited:
            return self._audit(query, before=before, after=after, limit=limit)
        with self.api.RunReader(self.run.path) as reader:
            rows = reader.history(before=before, after=after, limit=limit, **query.filters)
        return [public_event(row, self.run.id) for row in rows]

    def everything(self, query: Query, stop: Callable[[], bool]) -> Iterator[Event]:
        """All events that fit, oldest first, never all in memory; ends early when `stop` says so."""
        after = 0
        while not stop() and (events := self.page(query, after=after, limit=EXPORT_PAGE)):
            yield from events
            after = int(events[-1]["seq"])

    def export(
        self, query: Query, places: Callable[[], Iterator[Path]], stem: str, stop: Callable[[], bool]
    ) -> list[Path]:
        """Write all events that fit to two new files, one for programs and one for people.

        Raises:
            OSError: no folder takes them.
        """
        objects = (f"{line}\n" for line in ndjson(self.everything(query, stop)))
        lines = (
            f"{line}\n"
            for event in self.everything(query, stop)
            for line in history_lines(event, Stamp.FULL, self.kind)
        )
        return [save_text(places(), stem, ".ndjson", objects), save_text(places(), stem, ".txt", lines)]

    def _audit(self, query: Query, *, before: int | None, after: int | None, limit: int) -> list[Event]:
        events: list[Event] = [audit_event(row, self.run.id) for row in self.api.audit(self.run)]
        wanted = query.text.casefold()
        fitting = [e for e in events if wanted in " ".join(said(e)).casefold()]
        if after is not None:
            return [e for e in fitting if e["seq"] > after][:limit]
        return [e for e in fitting if before is None or e["seq"] < before][-limit:]

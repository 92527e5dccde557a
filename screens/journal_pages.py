"""Reading a run's history page by page while somebody scrolls through it or follows it."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from screens.history import KEPT, PAGE, Event, History, Loaded, Query, Where
from screens.host import app_of, host
from screens.panels.base import Value
from screens.panels.log import log_lines
from screens.widgets.cells import cut
from screens.widgets.columns import listed
from screens.widgets.find_bar import FindBar
from screens.widgets.flow import Line
from screens.widgets.guarded import in_background
from screens.widgets.key_line import KeyLine
from screens.widgets.line_list import LineList
from screens.widgets.moving import MOVES, Moving
from screens.widgets.sections import Sections
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.history import KINDS, Stamp, chain_line
from stepflow_tui.render.live import sort_of

NEAR = 10
"""Lines from an edge at which the next page is read."""
NAMES = tuple(KINDS)


class JournalPages(Moving, Screen[None]):
    """The reading half of the journal screen."""

    BINDINGS: ClassVar[list[BindingType]] = [*MOVES]

    def __init__(self) -> None:
        super().__init__()
        self.wanted = Query()
        self.loaded = Loaded()
        self._newest = 0
        self._chain = ""
        self._reading = False
        self._waiting: Where | None = None

    @property
    def listed(self) -> LineList:
        """The entries."""
        return self.query_one(LineList)

    @property
    def history(self) -> History | None:
        """The open run's."""
        bridge = host(self).bridge
        return History(api=host(self).api, run=bridge.run, kind=self.kind) if bridge is not None else None

    @property
    def kind(self) -> str:
        """The open run's kind of migration; "" before anything is known of it."""
        snapshot = host(self).snapshot
        return sort_of(snapshot.status) if snapshot is not None else ""

    @property
    def selected(self) -> Event | None:
        """The entry under the cursor."""
        at = self.listed.window.cursor
        return self.loaded.events[at] if at is not None and at < len(self.loaded.events) else None

    def compose(self) -> ComposeResult:
        """Kinds, entries, the filter, what is shown."""
        yield Sections([_(name) for name in NAMES])
        yield LineList(cursor=True, follow=True, more=host(self).glyphs.more)
        yield FindBar(_("text to filter by"))
        yield Value(id="place")
        yield KeyLine()

    def on_mount(self) -> None:
        """Read the newest page, and whether the audit is whole."""
        self.query_one(Sections).choose(0)
        self.listed.light(True)
        self.load("newest")
        in_background(self, self._verify(), group="verify", exclusive=True)

    def apply(self, snapshot: Snapshot) -> None:
        """Read what is new while following; else say that there is something."""
        if not self.is_mounted:  # not composed yet: it reads by itself when it is
            return
        seen = snapshot.events or host(self).events
        newest = int(seen[-1]["seq"]) if seen else 0
        if newest > self._newest:
            self._newest = newest
            if self.listed.window.follow:
                self.load("newer")
            self.tell()

    def narrow(self, query: Query) -> None:
        """Show something else of the history."""
        if query != self.wanted:
            self.wanted, self.loaded = query, Loaded()
            self.listed.window.needle = query.text
            self.load("newest")
            if query.audited:
                in_background(self, self._verify(), group="verify", exclusive=True)

    def load(self, where: Where) -> None:
        """Read a page in the background: one at a time, for a thread that searches can't be stopped."""
        if self._reading:
            self._waiting = where
            return
        self._reading = True
        self.tell()
        in_background(self, self._load(where), group="history")

    async def _load(self, where: Where) -> None:
        history, query, loaded, looked = self.history, self.wanted, self.loaded, self._newest
        found: list[Event] | None = None
        try:
            if history is not None:
                found = await asyncio.to_thread(history.page, query, **loaded.edge(where))
        except StepFlowError as error:
            host(self).show_error(error)
        finally:
            self._reading = False
        if found is not None and loaded is self.loaded:
            empty = not loaded.events
            loaded.take(where, found, looked)
            self._show(where, found, anew=empty)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self.load(waiting)
        else:
            self.tell()

    def _show(self, where: Where, found: list[Event], *, anew: bool) -> None:
        lines, window = [log_lines(e, Stamp.DAY, self.kind)[0] for e in found], self.listed.window
        if where in ("newest", "oldest") or anew:
            window.follow = where != "oldest"
            self.listed.show(lines or [Line(_("Nothing fits."))])
            self.listed.select(len(lines) - 1 if window.follow else 0)
        elif where == "older":
            self.listed.prepend(lines, KEPT)
        else:
            self.listed.append(lines, KEPT)
            if len(found) == PAGE and window.follow:
                self.load("newest")
        self.listed.draw(again=True)

    def action_report(self) -> None:
        """Open the report."""
        from screens.report import ReportScreen

        app_of(self).push_screen(ReportScreen())

    def read_on(self) -> None:
        """Near an edge of what is in memory: read what lies beyond."""
        at, last = self.listed.window.cursor or 0, len(self.loaded.events) - 1
        if self._reading or last < 0:
            return
        if at <= NEAR and not self.loaded.from_start:
            self.load("older")
        elif at >= last - NEAR and not self.loaded.to_end:
            self.load("newer")

    async def _verify(self) -> None:
        history, seen = self.history, host(self)
        if history is None:
            return
        try:
            verdict = await asyncio.to_thread(seen.api.verify_audit, seen.options.state, history.run)
        except StepFlowError as error:
            self._chain = clean_line(known(error.message))
        else:
            self._chain = chain_line(verdict)
        self.tell()

    def tell(self) -> None:
        """Below the entries: which ones these are, what is new, and how the audit stands."""
        events, parts = self.loaded.events, list[str]()
        if events:
            first, last = (f"{int(e['seq']):,}" for e in (events[0], events[-1]))
            parts.append(_("{first} to {last}").format(first=first, last=last))
        if not self.listed.window.follow:
            newer = self._newest - int(events[-1]["seq"]) if events and not self.wanted.audited else 0
            parts.append(_("+{count} newer, o follows").format(count=f"{newer:,}") if newer > 0 else _("o follows"))
        if self.wanted.text:
            parts.append(_("filter: {text}").format(text=clean_line(self.wanted.text)))
        if self._reading and self.wanted.text:
            parts.append(_("searching"))
        text = listed([*parts, self._chain], host(self).glyphs)
        self.query_one("#place", Value).show(cut(text, self.size.width - 2, host(self).glyphs.more))

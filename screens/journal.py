"""The journal screen: everything that happened, page by page from the journal, newest at the bottom."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from threading import Event as Flag
from typing import ClassVar

from textual.binding import BindingType

from screens.bindings import bindings
from screens.copying import copy_text, folders
from screens.host import app_of, host
from screens.journal_pages import NAMES, JournalPages
from screens.modals.text import TextDialog
from screens.widgets.find_bar import FindBar
from screens.widgets.guarded import in_background
from screens.widgets.sections import Sections
from stepflow_tui.actions import Scope
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.history import whole_event


class JournalScreen(JournalPages):
    """The whole history of one run."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.JOURNAL)]
    CSS_PATH = "journal.tcss"
    AUTO_FOCUS = ""
    HELP: ClassVar[str] = N_(
        "Everything that happened, the newest at the bottom. Left and right choose a kind: steps, findings, alerts, intents,"
        " notes, audit. / filters by text, Enter shows one entry whole, x writes all that fits to files. g goes to the first"
        " entry, G or o to the newest and follows it."
    )

    def __init__(self) -> None:
        super().__init__()
        self._left = Flag()

    def on_unmount(self) -> None:
        """Stop what is still being written."""
        self._left.set()

    def action_move(self, how: str) -> None:
        """Move; to an edge that is not in memory by reading it."""
        if how == "first" and not self.loaded.from_start:
            self.load("oldest")
        elif how == "last":
            self.go_end()
        else:
            super().action_move(how)

    def go_end(self) -> None:
        """The newest entries, followed from now on."""
        self.listed.window.go_end()
        self.load("newer" if self.loaded.to_end else "newest")
        self.listed.draw()
        self.tell()

    def action_details(self) -> None:
        """One entry whole."""
        if (event := self.selected) is not None:
            name = f"event-{event['seq']}"
            app_of(self).push_screen(
                TextDialog(_("Entry {n}").format(n=event["seq"]), whole_event(event, self.kind), name=name)
            )

    def action_find(self) -> None:
        """Type a filter."""
        self.query_one(FindBar).open()

    def action_next(self) -> None:
        """The next entry that fits."""
        self.action_move("down")

    def action_previous(self) -> None:
        """The entry before that fits."""
        self.action_move("up")

    def action_section_next(self) -> None:
        """The next kind."""
        self.choose(NAMES.index(self.wanted.kind) + 1)

    def action_section_previous(self) -> None:
        """The kind before."""
        self.choose(NAMES.index(self.wanted.kind) - 1)

    def choose(self, index: int) -> None:
        """Show one kind of entries, or all."""
        self.query_one(Sections).choose(index % len(NAMES))
        self.narrow(replace(self.wanted, kind=NAMES[index % len(NAMES)]))

    def action_follow(self) -> None:
        """Follow the newest entry, or stay here."""
        if self.listed.window.follow:
            self.listed.window.stay()
            self.tell()
        else:
            self.go_end()

    def action_wrap(self) -> None:
        """Wrap long entries, or cut them."""
        self.listed.window.set_wrap(not self.listed.window.wrap)
        self.listed.draw()

    def action_copy(self) -> None:
        """Copy the entries in memory."""
        copy_text(app_of(self), "\n".join(line.text for line in self.listed.lines), "journal")

    def action_export(self) -> None:
        """Write all entries that fit to files."""
        in_background(app_of(self), self._export(), group="export", exclusive=True)

    async def _export(self) -> None:
        history, seen, left = self.history, host(self), self._left
        if history is None:
            return
        self.notify(_("Writing the journal to files."), markup=False)
        stem = f"journal-{self.wanted.kind}-{seen.options.now():%Y%m%dT%H%M%S}"
        try:
            paths = await asyncio.to_thread(history.export, self.wanted, lambda: folders(seen), stem, left.is_set)
        except OSError as error:
            self.notify(clean_line(str(error)), title=_("Not written"), severity="error", markup=False)
        else:
            text = "\n".join(clean_line(str(path)) for path in paths)
            self.notify(text, title=_("Journal written"), timeout=15, markup=False)

    def on_find_bar_typed(self, event: FindBar.Typed) -> None:
        """The filter changed."""
        event.stop()
        self.narrow(replace(self.wanted, text=event.text.strip()))
        if event.done:
            self.set_focus(None)

    def on_sections_chosen(self, event: Sections.Chosen) -> None:
        """A kind was clicked."""
        self.choose(event.index)

    def on_line_list_moved(self) -> None:
        """Read on near an edge."""
        self.read_on()
        self.tell()

    def on_line_list_chosen(self) -> None:
        """A click on the selected entry."""
        self.action_details()

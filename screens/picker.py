"""The list of runs: what there is to attach to, which configs lie here, what can be begun."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Input, OptionList

from screens.bindings import bindings
from screens.host import host
from screens.picker_data import Listing, look
from screens.picker_open import demo, open_entry, set_up
from screens.picker_rows import CONFIG, RUN, lines, steered
from screens.widgets.guarded import in_background
from screens.widgets.key_line import KeyLine
from screens.widgets.pick_list import PickList
from screens.widgets.said import Said
from stepflow_tui.actions import Scope
from stepflow_tui.engine.texts.language import N_, _, known
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

REFRESH_SECONDS = 2.0

WELCOME = N_(
    "StepFlow moves a database without losing a row. It checks both sides first, makes a backup and tests it, copies, "
    "proves every row equal, and keeps the way back open. Nothing is changed before you say so.\n\n"
    "Press n to set up a migration, w to find out which one you need, or d to watch it work on a sample."
)


class FilterInput(Input):
    """What the list is filtered by; Escape takes the filter away."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "screen.unfilter", show=False)]


class PickerScreen(Screen[None]):
    """Runs, configs, and what can be begun."""

    NAME = N_("Runs")
    HELP = N_(
        "Runs that are not finished come first. Enter opens the selected run or config; the run goes on whether or not "
        "somebody watches. Letters begin something new: n a migration, w the question which one fits, d the demo."
    )
    CSS_PATH = "picker.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.PICKER)]

    def __init__(self) -> None:
        super().__init__()
        self._listing: Listing | None = None
        self._looked_at = self._took = 0.0

    def compose(self) -> ComposeResult:
        """Title, welcome, filter, list, details of the selected line."""
        yield Said(id="title")
        yield Said(id="welcome")
        yield FilterInput(id="filter", compact=True, placeholder=_("filter"))
        yield PickList(id="list")
        yield Said(id="detail")
        yield KeyLine()

    def on_mount(self) -> None:
        """Look, and go on looking: runs begin and end elsewhere too."""
        glyphs = host(self).glyphs
        self.query_one("#title", Said).show(f" StepFlow {glyphs.separator} {clean_line(str(host(self).options.state))}")
        self.query_one("#filter").display = False
        self.query_one("#welcome").display = False
        self.query_one(PickList).focus()
        self.action_reread()
        self.set_interval(REFRESH_SECONDS, self._look_again)

    def on_screen_resume(self) -> None:
        """Show the truth at once when the screen comes back."""
        self.action_reread()

    def _look_again(self) -> None:
        """With thousands of runs a look takes its time: never more than a tenth of the time goes into looking."""
        if self.is_current and monotonic() - self._looked_at > 10 * self._took:
            self.action_reread()

    def action_reread(self) -> None:
        """r: read runs and configs again."""
        if not any(w.node is self and w.group == "list" and not w.is_finished for w in self.workers):
            in_background(self, self._look(), group="list")

    async def _look(self) -> None:
        began = monotonic()
        found = await asyncio.to_thread(look, host(self).api, host(self).options)
        self._looked_at = monotonic()
        self._took = self._looked_at - began
        self.show(found)

    def show(self, listing: Listing) -> None:
        """Show what was found; lines that did not change are not drawn again."""
        self._listing = listing
        picked = self.query_one(PickList)
        now, glyphs = host(self).options.now(), host(self).glyphs
        only = self.query_one("#filter", Input).value
        with self.app.batch_update():
            picked.show(lines(listing, glyphs=glyphs, now=now, width=max(40, self.size.width - 4), only=only))
            welcome = self.query_one("#welcome", Said)
            welcome.display = not listing.runs and not listing.configs
            welcome.show(_(WELCOME))
            self._show_detail()

    def on_resize(self, _event: Resize) -> None:
        """The columns follow the width."""
        self._show_again()

    @on(OptionList.OptionHighlighted)
    def _show_detail(self) -> None:
        self.query_one("#detail", Said).show(self._detail(self.query_one(PickList).current or ""))

    def _detail(self, entry: str) -> str:
        if self._listing is None:
            return ""
        error = self._listing.error
        if error is not None:
            return clean_line(words.sentences(known(error.message), known(error.hint)))
        if entry.startswith(RUN):
            run = next((r for r in self._listing.runs if r["id"] == entry.removeprefix(RUN)), None)
            return clean_line(f"{run['id']}  {run.get('kind') or ''}  {steered(run)}") if run else ""
        if entry.startswith(CONFIG):
            return clean_line(entry.removeprefix(CONFIG))
        return _("Nothing is changed before you say so.")

    # what the keys do

    def action_details(self) -> None:
        """Enter, where the list has not taken it."""
        open_entry(self, self.query_one(PickList).current or "")

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        open_entry(self, event.option_id or "")

    def action_find(self) -> None:
        """/: filter the list."""
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()

    def action_unfilter(self) -> None:
        """Show everything again."""
        box = self.query_one("#filter", Input)
        box.value = ""
        box.display = False
        self.query_one(PickList).focus()

    @on(Input.Changed)
    def _show_again(self) -> None:
        if self._listing is not None:
            self.show(self._listing)

    @on(Input.Submitted)
    def _to_the_list(self) -> None:
        self.query_one(PickList).focus()

    def action_new(self) -> None:
        """n: set up a migration."""
        set_up(self, advise=False)

    def action_advise(self) -> None:
        """w: find out which one is needed."""
        set_up(self, advise=True)

    def action_demo(self) -> None:
        """d: a sample shop, and one of its migrations."""
        demo(self)

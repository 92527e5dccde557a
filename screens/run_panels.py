"""Keys that go from panel to panel, and keys that belong to whatever panel has the focus."""

from __future__ import annotations

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from screens.panels.base import Panel
from screens.panels.diffs import DiffsPanel
from screens.panels.log import LogPanel
from screens.panels.steps import StepsPanel
from screens.run_words import Status, quiet
from screens.widgets.afterwards import afterwards
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.application import short_line, watched
from stepflow_tui.render.live import is_in_place, is_offline

TABS = (2, 3, 4)
NOW = 1
WAL = 2
SWITCH = 3
APPLICATION = 6
LOOKS = 3
"""How often a panel that is being shown is asked whether it takes the focus."""
TITLE_AT = 3
"""Cells from a panel's edge to its title."""


class Panels(Screen[None]):
    """The half of the run screen that knows its panels."""

    tab = 0
    """Which of the panels that share a place is seen where there is little room; 0 before the first status."""
    tabs: tuple[int, ...] = TABS
    """The panels that do; the application's is one of them where one is configured."""

    @property
    def tabbed(self) -> bool:
        """Whether WAL, switch and differences share one place."""
        return any(self.has_class(c) for c in ("-narrow", "-low", "-flat"))

    @property
    def panel(self) -> Panel | None:
        """The panel that has the focus, itself or in a part of it."""
        focused = self.focused
        if focused is None:
            return None
        return next((n for n in focused.ancestors_with_self if isinstance(n, Panel)), None)

    def panel_number(self, number: int) -> Panel:
        """The panel with that number."""
        return next(p for p in self.query(Panel) if number == p.NUMBER)

    def sharing(self, number: int) -> tuple[int, ...]:
        """The panels that are seen in the same place as this one: with much room WAL and application alone."""
        if self.tabbed:
            return self.tabs
        if SWITCH not in self.tabs:  # each has a place of its own
            return (number,)
        pair = (WAL, APPLICATION)
        return pair if APPLICATION in self.tabs and number in pair else (number,)

    def choose_tab(self, number: int) -> None:
        """Show this one of the panels that share a place."""
        self.tab = number
        tabs = self.query_one("#tabs")
        for other in (*TABS, APPLICATION):
            tabs.set_class(other == number, f"-tab-{other}")
        if number in (WAL, APPLICATION):
            tabs.set_class(number == APPLICATION, "-first-6")
        self.name_tabs()

    def first_tab(self, status: Status) -> None:
        """What there is something to see of. A place of the application's own comes with the first word about it."""
        if is_in_place(status) and SWITCH in self.tabs:
            self.tabs = tuple(number for number in self.tabs if number != SWITCH)
            self.query_one("#tabs").add_class("-in-place")
        unwatched = quiet(status) or is_offline(status)
        if not self.tab:
            self.choose_tab(4 if unwatched and not is_in_place(status) else WAL)
        if watched(status) and APPLICATION not in self.tabs:
            self.tabs = (*self.tabs, APPLICATION)
            place = self.query_one("#tabs")
            place.add_class("-app")
            place.set_class(unwatched, "-first-6")
            self.name_tabs()

    def name_tabs(self) -> None:
        """Titles: of one panel each, or of all that share the place with the one that is seen in brackets."""
        for number in self.tabs:
            panel = self.panel_number(number)
            wanted = self._tab_titles(number)
            if panel.border_title is None or Content.from_markup(panel.border_title).plain != wanted:
                panel.border_title = Content(wanted)

    def _tab_titles(self, seen: int) -> str:
        shared = self.sharing(seen)
        if len(shared) == 1:
            return _title(self.panel_number(seen))
        names = (_title(self.panel_number(n)) for n in shared)
        return "  ".join(f"[{name}]" if n == seen else name for n, name in zip(shared, names, strict=True))

    def tell_shortly(self, snapshot: Snapshot) -> None:
        """The application in a few words below whatever hides its panel."""
        for number in self.tabs:
            shown = number != APPLICATION and APPLICATION in self.sharing(number)
            told = Content(short_line(snapshot.status, snapshot.now.timestamp() * 1000) if shown else "")
            panel = self.panel_number(number)
            if (panel.border_subtitle or "") != told:
                panel.border_subtitle = told

    def on_click(self, event: events.Click) -> None:
        """A click on the name of a tab."""
        panel, region = self.get_widget_at(event.screen_x, event.screen_y)
        if not isinstance(panel, Panel) or len(self.sharing(panel.NUMBER)) == 1:
            return
        if event.screen_y == region.y:
            self._clicked(event.screen_x - region.x - TITLE_AT, panel.NUMBER)

    def _clicked(self, x: int, seen: int) -> None:
        at = 0
        for number in self.sharing(seen):
            width = cell_len(_title(self.panel_number(number))) + (2 if number == seen else 0)
            if at <= x < at + width:
                self.go_to(number)
                return
            at += width + 2

    def go_to(self, number: int) -> None:
        """Focus a panel; a hidden one is shown first."""
        panel = self.panel_number(number)
        if number in self.tabs:
            self.choose_tab(number)
            afterwards(self, self.fit)
        hidden = number == 0 and self.has_class("-narrow")
        if hidden:
            panel.styles.display = (
                "block"  # at once: the stylesheet follows a class later, and hidden panels take no focus
            )
        if self.maximized is not None or hidden:
            self.maximize(panel, container=False)
        afterwards(self, self._focus, panel)

    def _focus(self, panel: Widget, looks: int = LOOKS) -> None:
        """A tab that was hidden takes the focus once the stylesheet has shown it."""
        if panel.focusable:
            panel.focus()
        elif looks:
            afterwards(self, self._focus, panel, looks - 1)

    def fit(self) -> None:
        """Sizes have changed: draw again what depends on them."""

    def watch_maximized(self, before: Widget | None, now: Widget | None) -> None:
        """Small again: a panel that has no place of its own here loses the focus."""
        afterwards(self, self.fit)
        if isinstance(before, StepsPanel):
            before.styles.display = None
            if now is None and self.has_class("-narrow"):
                self.go_to(NOW)


class PanelKeys(Panels):
    """Digits that go to panels."""

    def action_panel_0(self) -> None:
        """To the steps."""
        self.go_to(0)

    def action_panel_1(self) -> None:
        """To what happens now."""
        self.go_to(1)

    def action_panel_2(self) -> None:
        """To the WAL."""
        self.go_to(2)

    def action_panel_3(self) -> None:
        """To the read switch."""
        if SWITCH in self.tabs:
            self.go_to(SWITCH)
        else:
            self.notify(_("Nothing is switched: the database stays where it is."), markup=False)

    def action_panel_4(self) -> None:
        """To the row differences."""
        self.go_to(4)

    def action_panel_5(self) -> None:
        """To the log."""
        self.go_to(5)

    def action_panel_6(self) -> None:
        """To the application."""
        if APPLICATION in self.tabs:
            self.go_to(APPLICATION)
        else:
            self.notify(_("No application is configured: StepFlow does not stop, start or watch any."), markup=False)


class PanelActions(PanelKeys):
    """Actions that a panel carries out."""

    def action_zoom(self) -> None:
        """The focused panel on the whole screen, or all of them again."""
        if self.maximized is not None:
            self.minimize()
        elif self.panel is not None:
            self.maximize(self.panel, container=False)

    async def action_find(self) -> None:
        """Filter or search; the log where the focused panel has nothing to look through."""
        await self._hand_on("find", LogPanel)

    async def action_next(self) -> None:
        """Next match."""
        await self._hand_on("next", LogPanel)

    async def action_previous(self) -> None:
        """Previous match."""
        await self._hand_on("previous", LogPanel)

    async def action_differences(self) -> None:
        """Only tables that differ."""
        await self._hand_on("differences", DiffsPanel)

    async def action_follow(self) -> None:
        """Follow the log."""
        await self._hand_on("follow", LogPanel)

    async def action_wrap(self) -> None:
        """Wrap the log's lines."""
        await self._hand_on("wrap", LogPanel)

    async def action_details(self) -> None:
        """Details of what is selected in the focused panel."""
        await self._hand_on("details", None)

    async def _hand_on(self, action: str, otherwise: type[Panel] | None) -> None:
        panel = self.panel
        if panel is None or not hasattr(panel, f"action_{action}"):
            if otherwise is None:
                return
            panel = self.query_one(otherwise)
            if panel.NUMBER in TABS:
                self.choose_tab(panel.NUMBER)
        await self.app.run_action(action, panel)


def _title(panel: Panel) -> str:
    return f"{panel.NUMBER} {_(panel.NAME)}"

"""The screen of the set-up: one page at a time, back and next, problems shown where they are."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal
from textual.screen import Screen
from textual.widgets import Button

from screens.bindings import bindings
from screens.host import host
from screens.setup.advise import AdvisePage
from screens.setup.application import ApplicationPage
from screens.setup.kind import KindPage
from screens.setup.options import OptionsPage
from screens.setup.owners import OwnersPage
from screens.setup.page import Page
from screens.setup.review import ReviewPage
from screens.setup.source import SourcePage
from screens.setup.state import SetupState
from screens.setup.target import TargetPage
from screens.setup.wal_options import WalOptionsPage
from screens.widgets.guarded import in_background
from screens.widgets.key_line import KeyLine
from screens.widgets.said import Said
from stepflow_tui.actions import Scope
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.texts.language import N_, _, known
from stepflow_tui.render.clean import clean_line

IN_PLACE_PAGES: dict[type[Page], type[Page] | None] = {TargetPage: None, OptionsPage: WalOptionsPage}
"""What a database that stays where it is has in place of other pages: there is no target."""
PAGES: tuple[type[Page], ...] = (
    KindPage,
    SourcePage,
    TargetPage,
    OptionsPage,
    ApplicationPage,
    OwnersPage,
    ReviewPage,
)


class SetupScreen(Screen[None]):
    """The wizard proper.

    Args:
        advise: begin with the question which migration is needed.
    """

    NAME = N_("New migration")
    HELP = N_(
        "One page after the other: F8 goes on, Esc goes back, Tab goes from field to field. Enter in a list chooses. Left "
        "and right change a value between ‹ and ›. Nothing is written before the last page, and nothing started."
    )
    CSS_PATH = "screen.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - Textual declares it as no ClassVar
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.SETUP)]

    def __init__(self, *, advise: bool = False) -> None:
        super().__init__()
        self._advise = advise
        self.at = 0
        self.state: SetupState | None = None

    def compose(self) -> ComposeResult:
        """Title, page, problem, buttons."""
        yield Said(id="title")
        yield Container(id="page")
        yield Said(id="problem")
        with Horizontal(id="buttons"):
            yield Button(_("Back"), id="back", compact=True)
            yield Button(_("Next page"), id="next", compact=True)
            yield Button(_("Only save"), id="save", compact=True)
        yield KeyLine()

    async def on_mount(self) -> None:
        """Open the first page."""
        self.state = SetupState(folder=host(self).options.folder)
        await self._open(0)

    @property
    def pages(self) -> tuple[type[Page], ...]:
        """The pages of the kind that is chosen; up to the choice they are the same for all."""
        pages: tuple[type[Page], ...] = (AdvisePage, *PAGES) if self._advise else PAGES
        if self.state is None or not self.state.in_place:
            return pages
        own = (IN_PLACE_PAGES.get(page, page) for page in pages)
        return tuple(page for page in own if page is not None)

    @property
    def page(self) -> Page:
        """The page that is shown."""
        return self.query_one(Page)

    @property
    def last(self) -> bool:
        """Whether the last page is shown."""
        return self.at == len(self.pages) - 1

    async def _open(self, at: int) -> None:
        assert self.state is not None
        self.at = at
        body = self.query_one("#page", Container)
        await body.remove_children()
        page = self.pages[at](self.state)
        await body.mount(page)
        self._head()
        self._say("")
        first = page.first()
        if first is not None:
            first.focus()

    def _head(self) -> None:
        separator = host(self).glyphs.separator
        where = _("{n} of {total}").format(n=self.at + 1, total=len(self.pages))
        title = f" {_('New migration')} {separator} {where} {separator} {_(self.pages[self.at].NAME)}"
        self.query_one("#title", Said).show(title)
        self.query_one("#next", Button).label = self.key_label("page-next") or _("Next page")
        self.query_one("#save", Button).display = self.last
        self.refresh_bindings()

    def key_label(self, action: str) -> str:
        """What F8 does on the last page."""
        return _("Save and start") if action == "page-next" and self.last else ""

    def _problem(self, error: StepFlowError) -> None:
        text = Text(f"{host(self).glyphs.failed} {clean_line(known(error.message))}", style="bold red")
        text.append(f" {clean_line(known(error.hint))}", style="not bold default")
        self._say(text)

    def _say(self, text: str | Text) -> None:
        """What stands between page and buttons; no line where there is nothing to say."""
        line = self.query_one("#problem", Said)
        line.display = bool(text)
        line.show(text)

    # back and next

    @on(Page.Done)
    @on(Button.Pressed, "#next")
    def action_page_next(self) -> None:
        """F8: the next page, if this one is in order; from the last one to the run."""
        self._go_on(start=True)

    @on(Button.Pressed, "#save")
    def _only_save(self) -> None:
        self._go_on(start=False)

    def _go_on(self, *, start: bool) -> None:
        """One at a time: a key pressed twice must not save twice."""
        if any(w.node is self and w.group == "page" and not w.is_finished for w in self.workers):
            return
        self._say(_("Checking…"))
        in_background(self, self._next(start=start), group="page")

    async def _next(self, *, start: bool) -> None:
        try:
            self.state = await self.page.finish()
        except StepFlowError as error:
            self._problem(error)
            return
        except Exception:
            self._say("")
            raise
        self._say("")
        if not self.last:
            await self._open(self.at + 1)
            return
        self._end(self.state, start=start)

    def _end(self, state: SetupState, *, start: bool) -> None:
        app = host(self)
        variable = state.variable(app.api, app.options.env)
        if variable:
            app.options.env[variable] = state.aim(app.api)
        config: Path = state.place(state.path)
        self.dismiss(None)
        if start:
            app.begin(config)
        else:
            self.notify(_("Saved: {path}").format(path=clean_line(str(config))), markup=False)

    @on(Button.Pressed, "#back")
    async def action_page_back(self) -> None:
        """Esc: the page before; from the first one to the list of runs."""
        if self.at == 0:
            self.dismiss(None)
            return
        self.state = self.page.gathered()
        await self._open(self.at - 1)

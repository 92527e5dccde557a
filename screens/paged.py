"""A screen made of pages: their names on one line, one page below, to read, search or filter, copy and export."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from screens.fetching import Fetching
from screens.host import app_of, host
from screens.pages.lines import Page
from screens.widgets.document import Line
from screens.widgets.find_bar import FindBar
from screens.widgets.key_line import KeyLine
from screens.widgets.reader import Reader
from screens.widgets.sections import Sections
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.clean import clean_line

View = TypeVar("View")


class PagedScreen(Fetching, Generic[View]):
    """Shows `view` on `PAGES`; subclasses fetch it and call `show`."""

    PAGES: ClassVar[tuple[Page[Any], ...]]
    CSS_PATH = "paged.tcss"
    AUTO_FOCUS = "#page"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", show=False, id="close")]

    def __init__(self) -> None:
        super().__init__()
        self.view: View | None = None
        self._page = 0
        self._needle = ""

    def compose(self) -> ComposeResult:
        """Head, names, page."""
        yield Static("", id="head", markup=False)
        yield Sections([_(page.NAME) for page in self.PAGES])
        yield Reader(id="page")
        yield FindBar(_("Search or filter; Enter keeps it, Esc forgets it"))
        yield KeyLine()

    @property
    def page(self) -> Page[Any]:
        """The open page."""
        return self.PAGES[self._page]

    @property
    def reader(self) -> Reader:
        """Where it is shown."""
        return self.query_one("#page", Reader)

    def head(self, text: str) -> None:
        """Say what is shown, on the first line."""
        self.query_one("#head", Static).update(Text(clean_line(text), no_wrap=True, overflow="ellipsis"))

    def show(self, view: View) -> None:
        """Show this now; where somebody reads, the page stays."""
        if view != self.view:
            self.view = view
            self._draw(stay=True)

    def open_page(self, index: int) -> None:
        """Open a page from its top."""
        self._page = index % len(self.PAGES)
        self.HELP = self.page.HELP  # type: ignore[misc]  # the open page's
        self.query_one(Sections).choose(self._page)
        self._draw(stay=False)

    def lines_of(self, index: int, needle: str) -> list[Line]:
        """A page's lines; without a view there are none."""
        page = self.PAGES[index]
        return (
            [] if self.view is None else list(page.lines(self.view, needle if page.FILTERS else "", host(self).glyphs))
        )

    def _draw(self, *, stay: bool) -> None:
        self.reader.show(self.lines_of(self._page, self._needle), stay=stay)

    @on(Sections.Chosen)
    def _section_clicked(self, event: Sections.Chosen) -> None:
        self.open_page(event.index)

    @on(FindBar.Typed)
    def _typed(self, event: FindBar.Typed) -> None:
        if event.text != self._needle:
            self._needle = event.text
            self.reader.search(event.text)
            if self.page.FILTERS:
                self._draw(stay=True)
            else:
                self.reader.go_to_match(1)
        if event.done:
            self.reader.focus()

    def action_section_next(self) -> None:
        """The page to the right."""
        self.open_page(self._page + 1)

    def action_section_previous(self) -> None:
        """The page to the left."""
        self.open_page(self._page - 1)

    def action_find(self) -> None:
        """Type what is looked for."""
        self.query_one(FindBar).open()

    def action_next(self) -> None:
        """The next match, on a later page if this one has no more."""
        self._match(1)

    def action_previous(self) -> None:
        """The match before."""
        self._match(-1)

    def action_wrap(self) -> None:
        """Wrap long lines or cut them."""
        self.reader.set_wrap(wrap=not self.reader.wrap)

    def action_close(self) -> None:
        """Forget what is looked for; then close the screen, if something lies below."""
        if self._needle:
            self.query_one(FindBar).action_forget()
        elif len(app_of(self).screen_stack) > 1:
            self.dismiss()

    def _match(self, step: int) -> None:
        if not self._needle:
            self.action_find()
            return
        if self.reader.go_to_match(step):
            return
        count = len(self.PAGES)
        for index in ((self._page + step * n) % count for n in range(1, count + 1)):
            lines = self.lines_of(index, self._needle)
            if any(self._needle.casefold() in line.text.plain.casefold() for line in lines):
                self.open_page(index)
                self.reader.go_to_match(step)
                return
        text = _("{text} is nowhere here.").format(text=clean_line(self._needle))
        app_of(self).notify(text, severity="warning", markup=False)

"""The differing and rejected rows of one table (or of all), both values side by side."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from screens.host import app_of, host
from screens.modals.base import Dialog, title
from screens.modals.text import TextDialog
from screens.panels.base import Value
from screens.widgets.afterwards import afterwards
from screens.widgets.cells import cut
from screens.widgets.columns import Column, heading, listed, rest, row_line
from screens.widgets.flow import Line, wrapped
from screens.widgets.guarded import in_background
from screens.widgets.line_list import LineList
from screens.widgets.moving import MOVES, Moving, actions
from stepflow_tui.engine.texts.language import _, known, ngettext
from stepflow_tui.facade import Facade, RunInfo
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.differences import DiffRow, different, rejected, sides, whole

PAGE = 200
SIDE_ROWS = 3
"""Rows of a value under the list; Enter shows all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """So many rows from `offset` on, and how many there are: discrepancies first, then rejected rows."""

    rows: tuple[DiffRow, ...] = ()
    offset: int = 0
    differences: int = 0
    rejects: int = 0
    reason: str = ""

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self.differences + self.rejects


def read_page(api: Facade, run: RunInfo, table: str | None, offset: int) -> Page:
    """One page from the journal; blocks.

    Raises:
        StepFlowError: the journal can't be read.
    """
    with api.RunReader(run.path) as reader:
        differences, rejects = reader.difference_counts(table)
        rows = [different(r) for r in reader.discrepancies(PAGE, table=table, offset=offset)]
        if len(rows) < PAGE:
            past = max(0, offset - differences)
            rows += [rejected(r) for r in reader.rejects(PAGE - len(rows), table=table, offset=past)]
        reason = next((str(t["reason"] or "") for t in reader.tables() if t["source"] == table), "")
    return Page(rows=tuple(rows), offset=offset, differences=differences, rejects=rejects, reason=reason)


class DiffKeys(Moving, Dialog[None]):
    """Differing keys."""

    ARMED = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *MOVES,
        *actions("details", "next", "previous", "copy"),
        Binding("s", "sql", show=False),
        Binding("a", "all", show=False),
        Binding("v", "value", show=False),
    ]
    DEFAULT_CSS = """
    DiffKeys > .box {
        width: 96%;
        height: 96%;
    }
    DiffKeys #head {
        height: 1;
        text-style: bold;
    }
    DiffKeys #both {
        height: 5;
        border-top: solid $panel-lighten-2;
    }
    .-ascii DiffKeys #both {
        border-top: ascii $panel-lighten-2;
    }
    DiffKeys #hints, DiffKeys #count {
        height: 1;
        color: $text-muted;
    }
    """

    def __init__(self, run: RunInfo, table: str | None) -> None:
        super().__init__()
        self._run = run
        self._first_table = self._table = table
        self._page = Page()

    @property
    def listed(self) -> LineList:
        """The rows."""
        return self.query_one(LineList)

    @property
    def selected(self) -> DiffRow | None:
        """The row under the cursor."""
        at = self.listed.window.cursor
        return self._page.rows[at] if at is not None and at < len(self._page.rows) else None

    def compose(self) -> ComposeResult:
        """Rows, the selected one's values, what can be done."""
        with Vertical(classes="box"):
            yield title("")
            yield Value(id="count")
            yield Value(id="head")
            yield LineList(cursor=True, more=host(self).glyphs.more)
            yield Value(id="both")
            hints = _("Enter whole  s SQL  v value  n/N page  a all tables  y copy  Esc close")
            yield Static(hints, id="hints", markup=False)

    def on_mount(self) -> None:
        """Read the first page."""
        self.listed.light(True)
        self.turn_to(0)

    def turn_to(self, offset: int) -> None:
        """Read another page in the background."""
        in_background(self, self._read(offset), group="page", exclusive=True)

    async def _read(self, offset: int) -> None:
        self._page = await asyncio.to_thread(read_page, host(self).api, self._run, self._table, offset)
        self.listed.select(0)
        self.show()

    def show(self) -> None:
        """Show the page."""
        page, more = self._page, host(self).glyphs.more
        name = _("all tables and objects") if self._table is None else clean_line(self._table)
        self.query_one(".title", Static).update(Text(cut(name, max(10, self.listed.size.width), more)))
        self.query_one("#count", Value).show(listed(_counted(page), host(self).glyphs))
        columns = _columns(page, self.listed.size.width, tables=self._table is None)
        self.query_one("#head", Value).show(heading(columns, more))
        lines = [row_line(columns, _cells(r, tables=self._table is None), more=more) for r in page.rows]
        self.listed.show(lines or [Line(_("No differing or rejected row is listed."))])
        self.show_both()

    def show_both(self) -> None:
        """Show the selected row's cause and values side by side; where none is listed, why the table has its verdict."""
        row = self.selected
        why = clean_line(known(self._page.reason))
        text = both_sides(row, self.listed.size.width, host(self).glyphs.separator) if row else why
        self.query_one("#both", Value).show(text)

    def action_details(self) -> None:
        """Everything about the selected row."""
        if (row := self.selected) is not None:
            app_of(self).push_screen(TextDialog(_("Differing row"), list(whole(row)), name=f"row-{row.table}"))

    def action_sql(self) -> None:
        """What would repair the selected row."""
        row = self.selected
        if row is not None and row.sql:
            app_of(self).push_screen(TextDialog(_("Repair"), row.sql, name=f"repair-{row.table}"))
        elif row is not None:
            self.notify(_("No statement repairs this row."), markup=False)

    def action_next(self) -> None:
        """The next page."""
        if self._page.offset + PAGE < self._page.total:
            self.turn_to(self._page.offset + PAGE)

    def action_previous(self) -> None:
        """The page before."""
        if self._page.offset:
            self.turn_to(self._page.offset - PAGE)

    def action_all(self) -> None:
        """The rows of all tables, or of the one this was opened for."""
        self._table = None if self._table is not None else self._first_table
        self.turn_to(0)

    def action_copy(self) -> None:
        """Copy the page, every row whole."""
        from screens.copying import copy_text

        rows = ("\n".join(whole(row)) for row in self._page.rows)
        copy_text(app_of(self), "\n\n".join(rows), f"differences-{self._table or 'all'}")

    def action_value(self) -> None:
        """Show the value behind a fingerprint, after the run's name was typed."""
        from screens.modals.revealing import ask_to_reveal

        row = self.selected
        if row is not None and row.hidden is not None:
            ask_to_reveal(self, self._run, row, row.hidden)
        elif row is not None:
            self.notify(_("Nothing is hidden in this row."), markup=False)

    def on_line_list_moved(self) -> None:
        """Another row is selected."""
        self.show_both()

    def on_line_list_chosen(self) -> None:
        """A click on the selected row."""
        self.action_details()

    def on_resize(self, event: events.Resize) -> None:
        """Fit the columns."""
        afterwards(self, self.show)


def _counted(page: Page) -> list[str]:
    parts = [
        ngettext("{count} difference listed", "{count} differences listed", page.differences).format(
            count=f"{page.differences:,}"
        ),
        ngettext("{count} rejected row", "{count} rejected rows", page.rejects).format(count=f"{page.rejects:,}"),
    ]
    if page.total > PAGE:
        last = page.offset + len(page.rows)
        parts.append(_("{first} to {last}").format(first=f"{page.offset + 1:,}", last=f"{last:,}"))
    return parts


def _columns(page: Page, width: int, *, tables: bool) -> list[Column]:
    named = [Column(name=_("table"), width=14)] if tables else []
    classes = Column(name=_("class"), width=10)
    longest = max((len(r.key) for r in page.rows), default=4)
    key = Column(name=_("key"), width=min(max(6, longest), max(8, width // 4)))
    column = Column(name=_("column"), width=12)
    room = rest(width, [*named, key, column, classes], 2)
    values = [Column(name=_("source"), width=room), Column(name=_("target"), width=room)]
    return [*named, key, column, classes, *values]


def _cells(row: DiffRow, *, tables: bool) -> list[str]:
    named = [clean_line(row.table)] if tables else []
    values = [clean_line(v[:1000]) for v in sides(row)]
    return [*named, row.key, clean_line(row.column or "-"), row.word, *values]


def both_sides(row: DiffRow, width: int, separator: str) -> str:
    """Cause, then both values side by side, the beginning of each."""
    cause = cut(clean_line(known(row.cause)) or row.word, width)
    if row.file:
        said = _("The rejected row is in {file}").format(file=clean_line(row.file))
        return "\n".join([cause, *(said[a:b] for a, b in wrapped(said, max(8, width), 0)[:SIDE_ROWS])])
    room = max(8, (width - 3) // 2)
    values = [clean_line(v[:2000]) for v in sides(row)]
    left, right = ([v[a:b] for a, b in wrapped(v, room, 0)][:SIDE_ROWS] for v in values)
    lines = [cause]
    for n in range(max(len(left), len(right))):
        one, other = (part[n] if n < len(part) else "" for part in (left, right))
        lines.append(f"{one}{' ' * (room - Text(one).cell_len)} {separator} {other}")
    return "\n".join(lines)

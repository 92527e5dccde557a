"""Panel 4: the rows of every table on both sides. What differs comes first; Enter shows the differing keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType

from screens.glyphs import Glyphs
from screens.host import app_of, host
from screens.panels.base import Panel, Value
from screens.widgets.cells import cut
from screens.widgets.columns import Column, heading, listed, rest, row_line
from screens.widgets.find_bar import FindBar
from screens.widgets.flow import Line
from screens.widgets.line_list import LineList
from screens.widgets.moving import MOVES, Moving, actions
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.live import is_in_place
from stepflow_tui.render.tables import Standing, TableRow, table_rows, tables_summary, written_reason
from stepflow_tui.render.width import cells

MOST_ROWS = 200
"""More are not listed: a filter finds them."""
BOTH_NAMES_FROM = 84
"""Cells from which source and target have a column each."""
ROLES = {Standing.DIFFERS: "bad", Standing.RUNNING: "strong", Standing.UNSURE: "warn", Standing.EQUAL: "good"}
"""Colours; what was written to meanwhile has none: it is neither green nor a fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the tables are laid out in so many cells."""

    columns: tuple[Column, ...]
    both: bool
    glyphs: Glyphs

    @classmethod
    def fit(cls, rows: Sequence[TableRow], width: int, glyphs: Glyphs, *, in_place: bool = False) -> Layout:
        """Columns as wide as their widest entry; the names share the rest. `in_place`: before and after, of one table."""

        def column(name: str, entries: Sequence[str]) -> Column:
            longest = max(entries, key=len, default="")
            return Column(name=name, width=max(cells(name), len(longest)), right=True)

        fixed = [
            column(_("rows before") if in_place else _("source rows"), [r.source_rows for r in rows]),
            column(_("rows after") if in_place else _("target rows"), [r.target_rows for r in rows]),
            column(_("diff"), [r.diff for r in rows]),
            Column(name=_("checked"), width=max(8, cells(_("checked")))),
            Column(name=_("state"), width=2 + max(cells(_("state")), *(cells(r.word) for r in rows), 9)),
        ]
        both = width >= BOTH_NAMES_FROM and not in_place
        names = (_("source"), _("target")) if both else (_("table"),)
        room = rest(width, fixed, len(names))
        return cls(columns=(*(Column(name=n, width=room) for n in names), *fixed), both=both, glyphs=glyphs)

    def line(self, row: TableRow) -> Line:
        """One table."""
        state = f"{self.glyph(row)} {row.word}"
        names = (row.source, row.target) if self.both else (_one_name(row, self.glyphs),)
        roles = [""] * (len(names) + 3) + ["dim", ROLES.get(row.standing, "dim")]
        if row.standing is Standing.DIFFERS:
            roles[len(names) + 2] = "bad"
        shown = (*names, row.source_rows, row.target_rows, row.diff, row.checked, state)
        return row_line(self.columns, shown, roles, self.glyphs.more)

    def glyph(self, row: TableRow) -> str:
        """The sign of a table's state."""
        signs = {
            Standing.DIFFERS: self.glyphs.confirm,
            Standing.RUNNING: self.glyphs.now,
            Standing.UNSURE: self.glyphs.skipped,
            Standing.WRITTEN: self.glyphs.skipped,
            Standing.EQUAL: self.glyphs.done,
        }
        return signs.get(row.standing, self.glyphs.todo)


def _one_name(row: TableRow, glyphs: Glyphs) -> str:
    """The source's name; with the target's where that one is another."""
    if row.target.rpartition(".")[2] == row.source:
        return row.source
    return f"{row.source} {'>' if glyphs.separator == '|' else '→'} {row.target}"


class DiffsPanel(Moving, Panel):
    """Row differences."""

    NUMBER: ClassVar[int] = 4
    NAME: ClassVar[str] = N_("Row diffs")
    HELP: ClassVar[str] = N_(
        "Rows of every table on both sides. `diff` is target minus source; - means not known yet. / filters by name or state, f"
        " shows only tables that differ, Enter opens the differing keys of the selected table with both values side by side."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*MOVES, *actions("details", "find", "differences")]
    DEFAULT_CSS = """
    DiffsPanel Value {
        height: 1;
    }
    DiffsPanel #head {
        text-style: bold;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[object, ...] = ()
        self._rows: list[TableRow] = []
        self._all: list[TableRow] = []
        self._level: str | None = None
        self._needle = ""
        self._only = False
        self._in_place = False

    @property
    def listed(self) -> LineList:
        """The tables."""
        return self.query_one(LineList)

    @property
    def selected(self) -> TableRow | None:
        """The table under the cursor."""
        at = self.listed.window.cursor
        return self._rows[at] if at is not None and at < len(self._rows) else None

    def compose(self) -> ComposeResult:
        """Headings, tables, the filter, a summary."""
        yield Value(id="head")
        yield LineList(cursor=True, more=host(self).glyphs.more)
        yield FindBar(_("name or state"))
        yield Value(id="foot")

    def apply(self, snapshot: Snapshot) -> None:
        """Show the tables; nothing is drawn when none has changed."""
        tables: Sequence[Mapping[str, Any]] = snapshot.status.get("tables") or ()
        level, state = snapshot.status.get("level"), snapshot.status.get("state")
        if (tables, level, state) != self._shown:
            self._shown = (tables, level, state)
            self._all, self._level = table_rows(snapshot.status), level
            self._in_place = is_in_place(snapshot.status)
            self.show()

    def show(self) -> None:
        """Draw what changed; the cursor stays on its table."""
        chosen, glyphs = self.selected, host(self).glyphs
        wanted = [r for r in self._all if self._wanted(r)]
        self._rows = wanted[:MOST_ROWS]
        layout = Layout.fit(self._all, self.content_size.width, glyphs, in_place=self._in_place)
        lines = [layout.line(r) for r in self._rows]
        if len(wanted) > MOST_ROWS:
            text = _("{sign} and {count} more (filter with /)")
            lines.append(Line(text.format(sign=glyphs.more, count=f"{len(wanted) - MOST_ROWS:,}")))
        if chosen is not None:
            self._keep(chosen.key)
        self.listed.show(lines or [Line(_nothing(self._all, in_place=self._in_place))])
        self.query_one("#head", Value).show(heading(layout.columns, glyphs.more) if self._all else "")
        self._say()

    def copy_text(self) -> str:
        """All listed tables."""
        layout = Layout.fit(self._all, max(self.content_size.width, 160), host(self).glyphs, in_place=self._in_place)
        return "\n".join([heading(layout.columns), *(layout.line(r).text.rstrip() for r in self._rows), self._foot()])

    def action_details(self) -> None:
        """The differing keys of the selected table."""
        from screens.modals.diff_keys import DiffKeys

        bridge, table = host(self).bridge, self.selected
        if bridge is not None and table is not None:
            app_of(self).push_screen(DiffKeys(bridge.run, table.key))

    def action_find(self) -> None:
        """Type a filter."""
        self.query_one(FindBar).open()

    def action_differences(self) -> None:
        """Only tables that differ, or all."""
        self._only = not self._only
        self.show()

    def on_find_bar_typed(self, event: FindBar.Typed) -> None:
        """The filter changed."""
        event.stop()
        self._needle = event.text.strip()
        if event.done:
            self.focus()
        self.show()

    def on_line_list_chosen(self) -> None:
        """A click on the selected table."""
        self.action_details()

    def on_resize(self, event: events.Resize) -> None:
        """Fit the columns."""
        self.show()

    def on_focus(self) -> None:
        """Show the cursor."""
        self.listed.light(True)
        self._say()

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.listed.light(False)
        self._say()

    def on_line_list_moved(self) -> None:
        """Another table is selected."""
        self._say()

    def _say(self) -> None:
        """The last line: the tables together, or why the selected one has no verdict of its own."""
        self.query_one("#foot", Value).show(cut(self._foot(), self.content_size.width, host(self).glyphs.more))

    def _wanted(self, row: TableRow) -> bool:
        return (not self._only or row.standing is Standing.DIFFERS) and (not self._needle or row.holds(self._needle))

    def _keep(self, key: str) -> None:
        at = next((n for n, r in enumerate(self._rows) if r.key == key), None)
        if at is not None:
            self.listed.window.cursor = at

    def _foot(self) -> str:
        chosen = self.selected if self.listed.lit else None
        if chosen is not None and chosen.standing is Standing.WRITTEN:
            return words.about(chosen.source, written_reason())
        parts = tables_summary(self._all, self._level) if self._all else []
        if self._only:
            parts.append(_("only differing (f)"))
        if self._needle:
            parts.append(_("filter: {text} (Esc in the filter clears it)").format(text=self._needle))
        return listed(parts, host(self).glyphs)


def _nothing(tables: Sequence[TableRow], *, in_place: bool) -> str:
    """Why no table is listed."""
    if tables:
        return _("No table fits the filter.")
    if in_place:
        return _("Tables come with the plan: rows before and after, and whether they are equal.")
    return _("Tables come with the plan: their rows on both sides, and what differs once they are compared.")

"""The type census: the type of every column, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text

from screens.glyphs import Glyphs
from screens.pages.lines import BAD, CARE, DIM, GOOD, HEAD, SHOWN, Page, blank, fits, line
from screens.pages.view import PlanView
from screens.widgets.document import Line
from stepflow_tui.engine.model.plan import ColumnFacts, ColumnPlan, Plan, TablePlan
from stepflow_tui.engine.texts.language import N_, _, known, ngettext
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.width import cells, pad


class CensusPage(Page[PlanView]):
    """Tables and columns."""

    NAME: ClassVar[str] = N_("Types")
    HELP: ClassVar[str] = N_(
        "Every column with its declared type, the type it gets and why, and what the census counted. A proposal is a line for"
        " `types` in the config that would give a better type. / leaves only tables and columns that fit."
    )
    FILTERS: ClassVar[bool] = True

    def lines(self, view: PlanView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """One block per table."""
        if view.plan is None:
            return
        fitting = [(t, columns) for t in view.plan.tables if (columns := _columns(t, needle)) is not None]
        for table, columns in fitting[:SHOWN]:
            yield from self._table(table, columns, view.plan, glyphs)
        if len(fitting) > SHOWN:
            count = len(fitting) - SHOWN
            yield line(
                ngettext("and {count} more table; / finds it", "and {count} more tables; / finds them", count).format(
                    count=words.count(count)
                ),
                DIM,
            )

    def _table(self, table: TablePlan, columns: list[ColumnPlan], plan: Plan, glyphs: Glyphs) -> Iterator[Line]:
        facts = plan.facts.get(table.source)
        head = Text(end="")
        head.append(clean_line(f"{table.source} → {table.target}"), HEAD)
        if facts:
            head.append(f"  {words.amount(facts.rows, 'rows')}")
        if table.existing:
            head.append("  " + _("(made beforehand)"))
        yield Line(head, "", 2)
        if table.impossible:
            text = _("can't be copied: {reason}").format(reason=known(table.impossible))
            yield line(f"{glyphs.failed} {text}", BAD, indent=2)
        width = min(24, max((cells(clean_line(c.source)) for c in columns), default=0))
        for column in columns:
            yield _column(column, width)
            yield from _remarks(column, facts.columns.get(column.source) if facts else None, glyphs)
        yield blank()


def _columns(table: TablePlan, needle: str) -> list[ColumnPlan] | None:
    """The columns to show; None where nothing of the table fits."""
    if fits(needle, table.source, table.target):
        return list(table.columns)
    return [c for c in table.columns if fits(needle, c.source, c.target, c.declared, c.type.sql)] or None


def _column(column: ColumnPlan, width: int) -> Line:
    made = Text("  " + pad(clean_line(column.source), width) + "  ", end="")
    made.append(clean_line(column.declared) or _("(no type)"), DIM)
    made.append(" → ")
    made.append(clean_line(column.type.sql), "cyan")
    made.append(clean_line(_traits(column)))
    return Line(made, "", width + 4)


def _traits(column: ColumnPlan) -> str:
    traits = "  NOT NULL" if column.not_null else ""
    traits += "  IDENTITY" if column.identity else ""
    traits += f"  DEFAULT {column.default}" if column.default else ""
    traits += f"  GENERATED AS {column.generated}" if column.generated else ""
    return traits + (f"  [{_('named {name}').format(name=column.target)}]" if column.target != column.source else "")


def _remarks(column: ColumnPlan, facts: ColumnFacts | None, glyphs: Glyphs) -> Iterator[Line]:
    if column.reason:
        yield line(_("why: {text}").format(text=known(column.reason)), DIM, indent=6)
    if facts is not None and facts.violations:
        count = words.count(facts.violations)
        yield line(f"{glyphs.confirm} " + _("{count} values go the slow way").format(count=count), CARE, indent=6)
    if facts is not None and facts.proposal:
        text = _("proposal for types: {proposal}").format(proposal=facts.proposal)
        yield line(f"{glyphs.now} {text}", GOOD, indent=6)

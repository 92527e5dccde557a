"""What is not carried, and what is carried in another form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from screens.glyphs import Glyphs
from screens.pages.lines import BAD, DIM, GOOD, SHOWN, Page, blank, fits, heading, line, marked
from screens.pages.view import PlanView, Rows
from screens.widgets.document import Line
from stepflow_tui.engine.texts.language import N_, _, known
from stepflow_tui.render import words


class ObjectsPage(Page[PlanView]):
    """Objects with their reasons."""

    NAME: ClassVar[str] = N_("Not carried")
    HELP: ClassVar[str] = N_(
        "Views, triggers, indexes and other objects that can't be carried, each with the reason and its SQL, so that you can write"
        " them anew; below, what is carried in another form. / leaves only what fits."
    )
    FILTERS: ClassVar[bool] = True

    def lines(self, view: PlanView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Both lists."""
        if view.plan is None:
            return
        rows = [r for r in view.objects if fits(needle, r["type"], r["name"], r["reason"])]
        yield from object_lines(rows, view.objects, glyphs)
        changed = {a: b for a, b in view.plan.name_changes.items() if fits(needle, a, b)}
        if changed:
            yield heading(_("Names that change"))
            yield from (line(f"{old} → {new}", indent=2) for old, new in changed.items())


def object_lines(rows: Rows, every: Rows, glyphs: Glyphs) -> Iterator[Line]:
    """What is not carried, then what is carried in another form: `rows` of `every` object there is."""
    lost = [r for r in rows if not r["carried"]]
    other = [r for r in rows if r["carried"] and r["reason"]]
    yield heading(f"{_('Will NOT be carried')} ({len(lost)})")
    if not lost and any(not r["carried"] for r in every):
        yield line(_("Nothing fits."), DIM, indent=2)
    elif not lost:
        yield line(f"{glyphs.done} {_('Everything is carried.')}", GOOD, indent=2)
    for row in lost[:SHOWN]:
        yield from _lost(row, glyphs)
    yield from _rest(len(lost))
    yield blank()
    if other:
        yield heading(f"{_('Carried in another form')} ({len(other)})")
        yield from (line(_named(row), indent=2, hang=6) for row in other[:SHOWN])
        yield from _rest(len(other))
        yield blank()


def _lost(row: Mapping[str, Any], glyphs: Glyphs) -> Iterator[Line]:
    yield marked(glyphs.failed, words.term(row["type"]), str(row["name"]), BAD, indent=2)
    if row["reason"]:
        yield line(known(str(row["reason"])), indent=6)
    if row.get("sql"):
        yield line(str(row["sql"]), DIM, indent=6, hang=10)


def _named(row: Mapping[str, Any]) -> str:
    return words.about(f"{words.term(row['type'])} {row['name']}", known(str(row["reason"])))


def _rest(count: int) -> Iterator[Line]:
    if count > SHOWN:
        yield line(_("and {count} more; / finds them").format(count=words.count(count - SHOWN)), DIM, indent=2)

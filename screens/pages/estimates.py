"""Estimates: rows, bytes, time, disk; beside them what the run has measured so far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from screens.glyphs import Glyphs
from screens.pages.lines import DIM, Page, blank, heading, line
from screens.pages.view import PlanView
from screens.widgets.document import Line
from stepflow_tui.engine.model.plan import Plan
from stepflow_tui.engine.plan.estimates import estimate
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.width import cells, pad

LARGEST = 15


class EstimatesPage(Page[PlanView]):
    """Numbers."""

    NAME: ClassVar[str] = N_("Estimate")
    HELP: ClassVar[str] = N_(
        "How many rows and bytes there are, how long the run may take and how much disk it needs. The time is a range from"
        " rates measured on small and large machines, never a promise; below it stands what this run has taken so far."
    )
    FILTERS: ClassVar[bool] = False

    def lines(self, view: PlanView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Whole, then by phase, then the largest tables."""
        if view.plan is None:
            return
        yield from _whole(view.plan, view.source_bytes)
        yield from _phases(view)
        yield from _largest(view.plan)


def _whole(plan: Plan, source_bytes: int | None) -> Iterator[Line]:
    guess = estimate(plan)
    low, high = words.seconds(guess.low_seconds), words.seconds(guess.high_seconds)
    fields = [
        (_("Tables"), words.count(len(plan.tables))),
        (_("rows"), words.count(guess.rows)),
        (_("values"), words.size(guess.bytes)),
        (_("whole run"), _("{low} to {high} (rough: it depends on disks, cores and load)").format(low=low, high=high)),
    ]
    if source_bytes is not None:
        fields += [
            (_("disk here"), _("{size} for the tested backup").format(size=words.size(source_bytes))),
            (
                _("disk of target"),
                _("about {size} for tables, keys and write-ahead log").format(size=words.size(source_bytes * 2.5)),
            ),
        ]
    width = max(cells(name) for name, _value in fields)
    yield heading(_("Whole run"))
    yield from (line(f"{pad(name, width)}  {value}", indent=2, hang=width + 4) for name, value in fields)
    yield blank()


def _phases(view: PlanView) -> Iterator[Line]:
    if view.plan is None or not view.seconds:
        return
    names = [(p, words.phase(p.name, view.plan.kind, view.plan.mode)) for p in view.plan.phases]
    width = max((cells(name) for _phase, name in names), default=0)
    yield heading(_("Taken so far"))
    for phase, name in names:
        taken = [s for step in phase.steps if (s := view.seconds.get(step.name)) is not None]
        yield line(f"{pad(name, width)}  {words.seconds(sum(taken)) if taken else _('not begun')}", indent=2)
    yield blank()


def _largest(plan: Plan) -> Iterator[Line]:
    rows = sorted(((f.rows, name) for name, f in plan.facts.items()), reverse=True)[:LARGEST]
    if not rows:
        return
    yield heading(_("Largest tables"))
    width = max(len(words.count(n)) for n, _name in rows)
    for count, name in rows:
        yield line(f"{pad(words.count(count), width, right=True)}  {clean_line(name)}", indent=2)
    if len(plan.facts) > LARGEST:
        yield line(_("and {count} more").format(count=words.count(len(plan.facts) - LARGEST)), DIM, indent=2)

"""What a run changes that leaves the database where it is, and what the application has to set itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from screens.glyphs import Glyphs
from screens.pages.lines import Page, blank, heading, line
from screens.pages.view import PlanView
from screens.widgets.document import Line
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render.wal_plan import change_lines, in_place_estimate


class ChangesPage(Page[PlanView]):
    """The file's settings, the connections' settings, the estimate."""

    NAME: ClassVar[str] = N_("Changes")
    HELP: ClassVar[str] = N_(
        "What the run changes in the file, which the file then keeps, and what every connection of your application has to set"
        " by itself, as nobody can set it from outside. `stepflow pragmas` has that ready for your language."
    )
    FILTERS: ClassVar[bool] = False

    def lines(self, view: PlanView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """Settings, then figures."""
        if view.plan is None:
            return
        yield heading(_("What changes"))
        for text in change_lines(view.plan, view.findings, view.wal):
            yield line(text, indent=2) if text else blank()
        yield blank()
        yield heading(_("Whole run"))
        yield from (line(text, indent=2) for text in in_place_estimate(view.plan))

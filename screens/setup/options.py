"""Page: options of a move to another database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.widget import Widget

from screens.setup.own_options import OwnOptionsPage
from screens.setup.page import Field, explained, text_field
from screens.setup.state import SetupState
from screens.widgets.cycle import Cycle
from screens.widgets.said import Said
from stepflow_tui.engine.model.draft import CHOICES
from stepflow_tui.engine.texts.language import N_, _

LEVELS: dict[str, str] = {
    "basic": N_("Row counts of every table."),
    "standard": N_("Counts, keys and sums of every column."),
    "detailed": N_("Every value of every row is compared. The safe choice."),
    "comprehensive": N_("Every value, and every constraint, default and sequence is tried out."),
}
BAD_VALUES: dict[str, str] = {
    "reject": N_("Rows with text PostgreSQL can't hold are listed in a file, not copied. Nothing is altered."),
    "bytea": N_("Columns with such text become bytea: every byte is kept."),
    "replace": N_("Such characters are replaced: data is lost, and every value listed."),
}


class OptionsPage(OwnOptionsPage):
    """Name, environment, schema, mode (with its window), level, bad values, backup folder."""

    ABOUT: ClassVar[Mapping[str, str]] = {
        "copy": N_("One exact copy; nobody writes to the file meanwhile."),
        "live": N_("The application keeps writing (live): reads, then writes move, and the way back stays open."),
        "offline": N_(
            "A maintenance window: the application is stopped, its data copied and compared, then it starts anew."
        ),
    }

    def before(self, state: SetupState) -> Iterable[Widget]:
        """Where the tables go."""
        yield text_field(_("Schema"), state.schema, "schema")
        yield explained(_("Where the tables go. It has to be empty."))

    def between(self, state: SetupState) -> Iterable[Widget]:
        """How deep to compare, and what becomes of text that PostgreSQL can't hold."""
        yield Field(_("Verify"), Cycle([(v, v) for v in CHOICES["level"]], state.level, id="level"))
        yield Said(_(LEVELS[state.level]), id="about-level", classes="explained")
        yield Field(_("Bad text"), Cycle([(v, v) for v in CHOICES["on_bad_value"]], state.on_bad_value, id="bad"))
        yield Said(_(BAD_VALUES[state.on_bad_value]), id="about-bad", classes="explained")

    @on(Cycle.Changed, "#level")
    def _level(self, event: Cycle.Changed) -> None:
        self.query_one("#about-level", Said).show(_(LEVELS[event.cycle.value]))

    @on(Cycle.Changed, "#bad")
    def _bad(self, event: Cycle.Changed) -> None:
        self.query_one("#about-bad", Said).show(_(BAD_VALUES[event.cycle.value]))

    def gathered(self) -> SetupState:
        """All options; empty ones mean the default."""
        return replace(
            super().gathered(),
            schema=self.typed("schema") or "public",
            level=self.chosen("level"),
            on_bad_value=self.chosen("bad"),
        )

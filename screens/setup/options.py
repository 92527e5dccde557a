"""Page: options, each with a safe default and one line that explains it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from screens.host import host
from screens.setup.page import Field, Page, explained, text_field
from screens.setup.state import SetupState
from screens.widgets.cycle import Cycle
from screens.widgets.said import Said
from stepflow_tui.engine.model.draft import CHOICES
from stepflow_tui.engine.texts.language import N_, _

MODES: dict[str, str] = {
    "copy": N_("One exact copy; nobody writes to the file meanwhile."),
    "live": N_("The application keeps writing (live): reads, then writes move, and the way back stays open."),
    "offline": N_(
        "A maintenance window: the application is stopped, its data copied and compared, then it starts anew."
    ),
}
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


class OptionsPage(Page):
    """Name, environment, schema, mode (with its window), level, bad values, backup folder."""

    NAME: ClassVar[str] = N_("Options")
    INTRO: ClassVar[str] = N_("Everything here has a safe default; F8 takes them as they are.")

    def ask(self) -> Iterable[Widget]:
        """One field and one line of explanation each."""
        state = self.state
        name = state.name or host(self).api.suggested_name(state.source, state.kind)
        yield text_field(_("Name"), name, "name")
        yield explained(_("Names the run. Dangerous steps ask you to type it."))
        yield text_field(_("Environment"), state.environment, "environment")
        yield explained(_("Shown on every screen; with `production`, --yes alone confirms nothing."))
        yield text_field(_("Schema"), state.schema, "schema")
        yield explained(_("Where the tables go. It has to be empty."))
        yield Field(_("Mode"), Cycle([(v, v) for v in CHOICES["mode"]], state.fitting_mode, id="mode"))
        yield Said(_(MODES[state.fitting_mode]), id="about-mode", classes="explained")
        window = text_field(_("Window"), state.window, "window", hint="30m")
        window.display = state.fitting_mode == "offline"
        yield window
        about = explained(_("How long it may be down at most; then the old side is started again by itself."))
        about.id = "about-window"
        about.display = state.fitting_mode == "offline"
        yield about
        yield Field(_("Verify"), Cycle([(v, v) for v in CHOICES["level"]], state.level, id="level"))
        yield Said(_(LEVELS[state.level]), id="about-level", classes="explained")
        yield Field(_("Bad text"), Cycle([(v, v) for v in CHOICES["on_bad_value"]], state.on_bad_value, id="bad"))
        yield Said(_(BAD_VALUES[state.on_bad_value]), id="about-bad", classes="explained")
        yield text_field(_("Backup folder"), state.backup_dir, "backup", hint=_("the run's own folder"))
        yield explained(_("A tested backup is made first; it needs as much room as the file."))

    @on(Cycle.Changed, "#mode")
    def _mode(self, event: Cycle.Changed) -> None:
        mode = event.cycle.value
        self.query_one("#about-mode", Said).show(_(MODES[mode]))
        for name in ("#field-window", "#about-window"):
            self.query_one(name).display = mode == "offline"

    @on(Cycle.Changed, "#level")
    def _level(self, event: Cycle.Changed) -> None:
        self.query_one("#about-level", Said).show(_(LEVELS[event.cycle.value]))

    @on(Cycle.Changed, "#bad")
    def _bad(self, event: Cycle.Changed) -> None:
        self.query_one("#about-bad", Said).show(_(BAD_VALUES[event.cycle.value]))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "backup":
            self.post_message(self.Done())
        else:
            self.screen.focus_next()

    @on(Cycle.Submitted)
    def _on(self) -> None:
        self.screen.focus_next()

    def _typed(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def gathered(self) -> SetupState:
        """All options; empty ones mean the default."""
        return replace(
            self.state,
            name=self._typed("name"),
            environment=self._typed("environment") or "staging",
            schema=self._typed("schema") or "public",
            mode=self.query_one("#mode", Cycle).value,
            window=self._typed("window") or "30m",
            level=self.query_one("#level", Cycle).value,
            on_bad_value=self.query_one("#bad", Cycle).value,
            backup_dir=self._typed("backup"),
        )

    async def finish(self) -> SetupState:
        """Options that a config can hold."""
        state, app = self.gathered(), host(self)
        # composing the file checks every one of them
        app.api.config_text(state.draft(app.api, app.options.env), Path(state.place(state.path)))
        return state

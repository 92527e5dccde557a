"""Page: the SQLite file, with what was found in it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.containers import Container
from textual.widget import Widget

from screens.host import host
from screens.setup.page import Page, table
from screens.setup.paths import PathField
from screens.setup.state import SetupState
from screens.widgets.guarded import in_background
from screens.widgets.said import Said
from stepflow_tui.engine.errors import StepFlowError, UsageError
from stepflow_tui.engine.texts.language import N_, _, known
from stepflow_tui.render.advice import source_note, source_rows
from stepflow_tui.render.clean import clean

PAUSE_SECONDS = 0.25
"""After the last key, before a file is looked at."""


def error_text(error: StepFlowError) -> Text:
    """An error on a page: what, and what to do."""
    shown = Text(clean(known(error.message)), style="red")
    for line in (known(error.detail), known(error.hint)):
        if line:
            shown.append(f"\n{clean(line)}", style="default")
    return shown


class Summary(Said):
    """What was found about a source."""

    def show_facts(self, facts: Mapping[str, Any], kind: str = "") -> None:
        """As names and values, and what they mean for a kind of migration."""
        shown = table(source_rows(facts))
        if note := source_note(facts, kind):
            shown.append(f"\n{note}", style="bold")
        self.show(shown)


class SourcePage(Page):
    """Which file is moved."""

    NAME: ClassVar[str] = N_("Source")
    INTRO: ClassVar[str] = N_(
        "The SQLite file to move. It is only read, never changed. Enter shows what is in it, then goes on."
    )

    def __init__(self, state: SetupState) -> None:
        super().__init__(state)
        self._facts = state.facts

    @property
    def kind(self) -> str:
        """The kind of migration, where it is chosen already."""
        return self.state.kind

    def intro(self) -> str:
        """What the file is there for."""
        if self.state.in_place:
            return _("The SQLite file to convert. Here it is only read. Enter shows what is in it, then goes on.")
        return super().intro()

    def ask(self) -> Iterable[Widget]:
        """The path, and what is behind it."""
        yield Container(
            PathField(_("Path"), self.state.source, self.state.folder), Summary(id="summary"), classes="beside"
        )

    def on_mount(self) -> None:
        """Show what is known already."""
        if self._facts is not None:
            self.query_one(Summary).show_facts(self._facts, self.kind)

    @on(PathField.Changed)
    def _changed(self, event: PathField.Changed) -> None:
        if event.value != self.state.source or self._facts is None:
            self._facts = None
            in_background(self, self._describe(event.value), group="describe", exclusive=True)

    async def _describe(self, typed: str) -> None:
        summary = self.query_one(Summary)
        await asyncio.sleep(PAUSE_SECONDS)
        if not typed or not await asyncio.to_thread(os.path.isfile, self.state.place(typed)):
            summary.show("")
            return
        try:
            facts = await host(self).api.survey(str(self.state.place(typed)))
        except StepFlowError as error:
            summary.show(error_text(error))
            return
        self.state, self._facts = self.state.with_source(typed, facts), facts
        summary.show_facts(facts, self.kind)

    @on(PathField.Chosen)
    def _chosen(self) -> None:
        self.chosen()

    def chosen(self) -> None:
        """Enter on a path: shows what is in the file before Enter, pressed again, goes on."""
        if self._facts is not None:
            self.post_message(self.Done())
        else:
            in_background(self, self._look_first(), group="describe", exclusive=True)

    async def _look_first(self) -> None:
        typed = self.query_one(PathField).value
        if await asyncio.to_thread(os.path.isfile, self.state.place(typed)):
            await self._describe(typed)
        else:
            self.post_message(self.Done())  # the check says what is wrong

    def gathered(self) -> SetupState:
        """The path; facts only if they are about it."""
        typed = self.query_one(PathField).value
        known_facts = self._facts if typed == self.state.source else None
        return self.state.with_source(typed, known_facts)

    async def finish(self) -> SetupState:
        """The path of a file that can be read."""
        state = self.gathered()
        if not state.source:
            raise UsageError(
                _("No file is named yet."), hint=_("Type its path, or choose one below."), code="no_source"
            )
        place = state.place(state.source)
        if not await asyncio.to_thread(os.path.exists, place):
            raise UsageError(
                _("There is no file of that name."), hint=_("Type its path, or choose one below."), code="no_source"
            )
        facts = state.facts or await host(self).api.survey(str(place))
        if facts.get("source") != "sqlite":
            raise UsageError(
                _("This is not a SQLite file."),
                hint=_("Exported files and PostgreSQL tables are sources of kinds that come later."),
                code="other_kind",
            )
        self.state, self._facts = state.with_source(state.source, facts), facts
        self.query_one(Summary).show_facts(facts, self.kind)
        return self.state

"""What the option pages of all kinds ask alike: name, environment, mode with its window, backup folder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
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
from stepflow_tui.engine.model.draft import MODES
from stepflow_tui.engine.texts.language import N_, _

OFFLINE = "offline"


class OwnOptionsPage(Page):
    """Options, each with a safe default and one line that explains it; a kind adds its own."""

    NAME: ClassVar[str] = N_("Options")
    INTRO: ClassVar[str] = N_("Everything here has a safe default; F8 takes them as they are.")
    ABOUT: ClassVar[Mapping[str, str]]
    """What each mode of the kind means."""

    @abstractmethod
    def between(self, state: SetupState) -> Iterable[Widget]:
        """What the kind asks between the mode and the backup folder."""

    def before(self, state: SetupState) -> Iterable[Widget]:
        """What it asks before the mode."""
        yield from ()

    def ask(self) -> Iterable[Widget]:
        """One field and one line of explanation each."""
        state = self.state
        name = state.name or host(self).api.suggested_name(state.source, state.kind)
        yield text_field(_("Name"), name, "name")
        yield explained(_("Names the run. Dangerous steps ask you to type it."))
        yield text_field(_("Environment"), state.environment, "environment")
        yield explained(_("Shown on every screen; with `production`, --yes alone confirms nothing."))
        yield from self.before(state)
        yield from self._ask_mode(state)
        yield from self.between(state)
        yield text_field(_("Backup folder"), state.backup_dir, "backup", hint=_("the run's own folder"))
        yield explained(_("A tested backup is made first; it needs as much room as the file."))

    def _ask_mode(self, state: SetupState) -> Iterable[Widget]:
        mode = state.fitting_mode
        yield Field(_("Mode"), Cycle([(v, v) for v in MODES[state.kind]], mode, id="mode"))
        yield Said(_(self.ABOUT[mode]), id="about-mode", classes="explained")
        window = text_field(_("Window"), state.window, "window", hint="30m")
        window.display = mode == OFFLINE
        yield window
        about = explained(_("How long it may be down at most; then the old side is started again by itself."))
        about.id, about.display = "about-window", mode == OFFLINE
        yield about

    @on(Cycle.Changed, "#mode")
    def _mode(self, event: Cycle.Changed) -> None:
        mode = event.cycle.value
        self.query_one("#about-mode", Said).show(_(self.ABOUT[mode]))
        for name in ("#field-window", "#about-window"):
            self.query_one(name).display = mode == OFFLINE

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "backup":
            self.post_message(self.Done())
        else:
            self.screen.focus_next()

    @on(Cycle.Submitted)
    def _on(self) -> None:
        self.screen.focus_next()

    def typed(self, name: str) -> str:
        """What stands in a field."""
        return self.query_one(f"#{name}", Input).value.strip()

    def chosen(self, name: str) -> str:
        """What is chosen of several."""
        return self.query_one(f"#{name}", Cycle).value

    def gathered(self) -> SetupState:
        """The options of all kinds; empty ones mean the default."""
        return replace(
            self.state,
            name=self.typed("name"),
            environment=self.typed("environment") or "staging",
            mode=self.chosen("mode"),
            window=self.typed("window") or "30m",
            backup_dir=self.typed("backup"),
        )

    async def finish(self) -> SetupState:
        """Options that a config can hold."""
        state, app = self.gathered(), host(self)
        # composing the file checks every one of them
        app.api.config_text(state.draft(app.api, app.options.env), Path(state.place(state.path)))
        return state

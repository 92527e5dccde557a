"""Page: options of a conversion in place, each with a safe default and one line that explains it."""

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
from stepflow_tui.engine.model.config_wal import PAGE_SIZES
from stepflow_tui.engine.model.draft import MODES
from stepflow_tui.engine.texts.language import N_, _

ABOUT_MODES: dict[str, str] = {
    "in-place": N_("The application goes on. The conversion waits for a moment in which nobody reads or writes."),
    "offline": N_(
        "The application is stopped, the database converted, then it starts again. For one that never pauses."
    ),
}
AS_IT_IS = ""


class WalOptionsPage(Page):
    """Name, environment, mode (with its window), waiting time, page size, observation, backup folder."""

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
        yield from self._ask_mode(state)
        yield text_field(_("Longest wait"), state.max_wait, "wait", hint="60s")
        yield explained(_("For that moment; then it gives up, names who is in the way, and the old mode stays."))
        yield Field(_("Page size"), Cycle(self._sizes(state), state.page_size, id="page-size"))
        yield explained(
            _("Another one rewrites the whole file (VACUUM) before the conversion; afterwards it can't change.")
        )
        yield text_field(_("Watch for"), state.observe, "observe", hint=_("a minute while somebody uses it"))
        yield explained(_("How long the new mode is watched before the run ends; you can go back all that time."))
        yield text_field(_("Backup folder"), state.backup_dir, "backup", hint=_("the run's own folder"))
        yield explained(_("A tested backup is made first; it needs as much room as the file."))

    def _ask_mode(self, state: SetupState) -> Iterable[Widget]:
        mode = state.fitting_mode
        yield Field(_("Mode"), Cycle([(v, v) for v in MODES[state.kind]], mode, id="mode"))
        yield Said(_(ABOUT_MODES[mode]), id="about-mode", classes="explained")
        window = text_field(_("Window"), state.window, "window", hint="30m")
        window.display = mode == "offline"
        yield window
        about = explained(_("How long it may be down at most; then the old side is started again by itself."))
        about.id, about.display = "about-window", mode == "offline"
        yield about

    def _sizes(self, state: SetupState) -> list[tuple[str, str]]:
        now = (state.facts or {}).get("page_size")
        kept = _("as it is ({bytes})").format(bytes=now) if now else _("as it is")
        return [(AS_IT_IS, kept), *((str(size), str(size)) for size in PAGE_SIZES if size != now)]

    @on(Cycle.Changed, "#mode")
    def _mode(self, event: Cycle.Changed) -> None:
        mode = event.cycle.value
        self.query_one("#about-mode", Said).show(_(ABOUT_MODES[mode]))
        for name in ("#field-window", "#about-window"):
            self.query_one(name).display = mode == "offline"

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
            mode=self.query_one("#mode", Cycle).value,
            window=self._typed("window") or "30m",
            max_wait=self._typed("wait") or "60s",
            page_size=self.query_one("#page-size", Cycle).value,
            observe=self._typed("observe"),
            backup_dir=self._typed("backup"),
        )

    async def finish(self) -> SetupState:
        """Options that a config can hold."""
        state, app = self.gathered(), host(self)
        # composing the file checks every one of them
        app.api.config_text(state.draft(app.api, app.options.env), Path(state.place(state.path)))
        return state

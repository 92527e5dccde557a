"""Page: the application's side: how it is stopped and started, which settings change, how one knows that it is well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Button, Input

from screens.host import host
from screens.modals.text import TextDialog
from screens.setup.page import Field, Page, explained, text_field
from screens.setup.source import error_text
from screens.setup.state import SetupState
from screens.widgets.cycle import Cycle
from screens.widgets.guarded import in_background
from screens.widgets.said import Said
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.draft import RECIPES, ApplicationDraft
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render.application_plan import plan_lines
from stepflow_tui.render.application_words import KEYS, KINDS

NONE = ""
LEAST_SETTINGS = 2
"""Lines for settings that are there from the start; another one comes when the last is filled."""


class ApplicationPage(Page):
    """Recipe, settings, health, availability. All of it may stay empty."""

    NAME: ClassVar[str] = N_("Application")
    INTRO: ClassVar[str] = N_(
        "Who stops, switches and starts your application? What stays empty here becomes an item of the checklist. F8 goes on."
    )

    def ask(self) -> Iterable[Widget]:
        """The recipe with its keys, the settings, the addresses, the trial."""
        told = self.state.application
        kinds = [(NONE, _("by hand")), *((kind, kind) for kind in RECIPES)]
        yield Field(_("Started by"), Cycle(kinds, told.recipe, id="recipe"))
        yield Said(_(KINDS[told.recipe]), id="about-recipe", classes="explained")
        for key in dict.fromkeys(key for keys in RECIPES.values() for key in keys):
            line = text_field(_(KEYS[key][0]), told.fields.get(key, ""), f"key-{key}", hint=_(KEYS[key][1]))
            line.display = key in RECIPES.get(told.recipe, ())
            yield line
        yield text_field(_("Settings file"), told.settings_file, "settings-file", hint=".env")
        with_settings = Vertical(*self._settings(told), id="settings")
        with_settings.styles.height = "auto"
        yield with_settings
        yield explained(
            _("KEY = value; changed before the conversion, and put back with the rest.")
            if self.state.in_place
            else _("KEY = value; {target_dsn} and the like are filled in at the switch. It is undone with the rest.")
        )
        yield text_field(_("Health URL"), told.health, "health", hint="http://127.0.0.1:8000/health")
        yield explained(_("It counts as started when this answers with 200; else the old side is started again."))
        yield text_field(_("Availability URL"), told.availability, "availability", hint="http://127.0.0.1:8000/")
        yield explained(_("Asked every second, so that the report can say for how long it could not be used."))
        yield Button(_("Try it (dry run)"), id="try", compact=True)
        yield Said(id="tried")

    def _settings(self, told: ApplicationDraft) -> Iterable[Widget]:
        lines = [f"{key} = {value}" for key, value in told.settings]
        lines += [""] * (max(LEAST_SETTINGS, len(lines) + 1) - len(lines))
        hint = "DATABASE_URL = {target_dsn}" if not self.state.in_place else "SQLITE_BUSY_TIMEOUT = 30000"
        return [_setting(number, line, hint) for number, line in enumerate(lines)]

    @on(Cycle.Changed, "#recipe")
    def _recipe(self, event: Cycle.Changed) -> None:
        chosen = event.cycle.value
        self.query_one("#about-recipe", Said).show(_(KINDS[chosen]))
        for key in KEYS:
            self.query_one(f"#field-key-{key}").display = key in RECIPES.get(chosen, ())

    @on(Input.Changed, "#settings Input")
    def _setting_typed(self, event: Input.Changed) -> None:
        boxes = list(self.query("#settings Input").results(Input))
        if event.input is boxes[-1] and event.value:
            self.query_one("#settings").mount(_setting(len(boxes), "", ""))

    @on(Input.Submitted)
    @on(Cycle.Submitted)
    def _on(self) -> None:
        self.screen.focus_next()

    @on(Button.Pressed, "#try")
    def _try(self, event: Button.Pressed) -> None:
        """Show what would be done; nothing is changed, not even the config written."""
        event.stop()
        self.query_one("#tried", Said).show(_("Looking. This changes nothing."))
        in_background(self, self._tried(), group="try", exclusive=True)

    async def _tried(self) -> None:
        app, state, said = host(self), self.gathered(), self.query_one("#tried", Said)
        path = Path(state.place(state.path))
        env = {**app.options.env}
        variable = state.variable(app.api, env)
        if variable:
            env[variable] = state.aim(app.api)
        try:
            text = app.api.config_text(state.draft(app.api, env), path)
            lines = list(plan_lines(await app.api.application_trial(text, path, env)))
        except StepFlowError as error:
            said.show(error_text(error))
            said.scroll_visible()
            return
        said.show("")
        self.app.push_screen(TextDialog(_("Dry run: nothing was changed"), lines))

    def _typed(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def gathered(self) -> SetupState:
        """What was answered; keys of another recipe are not kept."""
        recipe = self.query_one("#recipe", Cycle).value
        fields = {key: self._typed(f"key-{key}") for key in RECIPES.get(recipe, ())}
        lines = [box.value for box in self.query("#settings Input").results(Input) if box.value.strip()]
        told = ApplicationDraft(
            recipe=recipe,
            fields={key: value for key, value in fields.items() if value},
            settings_file=self._typed("settings-file"),
            settings=tuple(map(setting_of, lines)),
            health=self._typed("health"),
            availability=self._typed("availability"),
        )
        return replace(self.state, application=told)

    async def finish(self) -> SetupState:
        """Answers that a config can hold."""
        state, app = self.gathered(), host(self)
        # composing the file checks every one of them
        app.api.config_text(state.draft(app.api, app.options.env), Path(state.place(state.path)))
        return state


def _setting(number: int, line: str, hint: str) -> Field:
    label = _("Settings") if not number else ""
    return text_field(label, line, f"setting-{number}", hint=hint if not number else "")


def setting_of(line: str) -> tuple[str, str]:
    """`KEY = value` as key and value; the key is "" where there is no equals sign."""
    key, equals, value = line.partition("=")
    return (key.strip(), value.strip()) if equals else ("", line.strip())

"""The application by numbers: how it stands and what its switch changes; and its questions in a new config."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stepflow_tui.cli import output
from stepflow_tui.cli.diagnostics import say
from stepflow_tui.cli.plain import ask
from stepflow_tui.cli.plain.desk import Desk, Next, Place
from stepflow_tui.engine.errors import StepFlowError, UsageError
from stepflow_tui.engine.model.draft import RECIPES, ApplicationDraft, Draft
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words
from stepflow_tui.render.application import application_lines, configured
from stepflow_tui.render.application_plan import plan_lines
from stepflow_tui.render.application_words import KEYS, KINDS
from stepflow_tui.render.window import window_lines


def application(place: Place) -> Next:
    """How the application stands, and what its switch changes."""
    status = place.status
    _show([*window_lines(status), *application_lines(status, signs=False)])
    show_plan(place)
    return Next.MENU


def before_it_moves(place: Place) -> None:
    """What changes on the application's side, before somebody confirms that it may; nothing where none is configured."""
    if configured(place.status):
        show_plan(place)


def show_plan(place: Place) -> None:
    """The lines of settings and the commands, from the config that the run was started with."""
    desk = place.desk
    config = (place.reader.run() or {}).get("config_path")
    if not config:
        say(_("The run's folder doesn't say which config it was started with."))
        return
    try:
        loaded = desk.engine.load_config(Path(str(config)), desk.env)
        _show(plan_lines(asyncio.run(_looked(desk, loaded))))
    except StepFlowError as error:
        desk.tell(error)


async def _looked(desk: Desk, loaded: Any) -> Mapping[str, Any]:
    return await desk.engine.application_plan(loaded, look=True)


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        output.emit_text(line)


def ask_application(desk: Desk, draft: Draft) -> Draft:
    """The draft with the application's side: recipe, settings, addresses. All of it may stay empty."""
    question = _("Who stops, switches and starts the application?")
    if (
        ask.choose(question, (_("a person: it becomes items of the checklist"), _("StepFlow: answer some questions")))
        == 1
    ):
        return draft
    told = _settings(_recipe(ApplicationDraft()))
    told = ask.checked(
        _("Health URL, answered with 200 when all is well (Enter: none)"), _fitting(desk, draft, told, "health")
    )
    told = ask.checked(
        _("URL that is asked every second, to measure availability (Enter: none)"),
        _fitting(desk, draft, told, "availability"),
    )
    changed = replace(draft, application=told)
    try:
        desk.engine.config_text(changed, desk.folder / "stepflow.yaml")
    except StepFlowError as error:
        desk.tell(error)
        return ask_application(desk, draft)
    if ask.yes(_("Try it (dry run)? It looks, and changes nothing.")):
        _try(desk, changed)
    labels = (_("take it"), _("answer again"), _("leave it to a person"))
    number = ask.choose(_("The application's side"), labels)
    return changed if number == 1 else ask_application(desk, draft) if number == 2 else draft


def _recipe(told: ApplicationDraft) -> ApplicationDraft:
    kinds = ["", *RECIPES]
    labels = [words.about(kind or _("by hand"), _(KINDS[kind])) for kind in kinds]
    kind = kinds[ask.choose(_("How is it started?"), labels) - 1]
    fields = {}
    for number, key in enumerate(RECIPES.get(kind, ())):
        label = _("{label}, such as {example}").format(label=_(KEYS[key][0]), example=KEYS[key][1])
        fields[key] = ask.needed(label) if not number else ask.text(label)
    return replace(told, recipe=kind, fields={key: value for key, value in fields.items() if value})


def _settings(told: ApplicationDraft) -> ApplicationDraft:
    file = ask.text(_("Settings file that changes at the switch, such as .env (Enter: none)"))
    if not file:
        return told
    say(
        _(
            "KEY = value, one setting a line; {target_dsn} and the like are filled in at the switch. Enter alone ends it."
        )
    )
    settings: list[tuple[str, str]] = []
    while line := ask.text(_("Setting")):
        key, equals, value = line.partition("=")
        if equals and key.strip():
            settings.append((key.strip(), value.strip()))
        else:
            say(_("Write KEY = value."))
    return replace(told, settings_file=file, settings=tuple(settings))


def _fitting(desk: Desk, draft: Draft, told: ApplicationDraft, name: str) -> Any:
    """What takes an address, and refuses one that is none."""

    def use(answer: str) -> ApplicationDraft:
        more: dict[str, Any] = {name: answer}
        if answer:
            alone = replace(ApplicationDraft(), **more)
            desk.engine.config_text(replace(draft, application=alone), desk.folder / "stepflow.yaml")
        return replace(told, **more)

    return use


def _try(desk: Desk, draft: Draft) -> None:
    path = desk.folder / "stepflow.yaml"
    try:
        text = desk.engine.config_text(draft, path)
    except UsageError as error:
        desk.tell(error)
        return
    found = desk.tried(desk.engine.application_trial(text, path, desk.env))
    if found is not None:
        _show(plan_lines(found))

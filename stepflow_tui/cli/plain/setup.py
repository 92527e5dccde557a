"""A new migration by questions: kind, source, target, options, owners; then the config file, shown and saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from stepflow_tui.cli import output
from stepflow_tui.cli.advise import number, yes_or_no
from stepflow_tui.cli.diagnostics import say
from stepflow_tui.cli.plain import ask
from stepflow_tui.cli.plain.application import ask_application
from stepflow_tui.cli.plain.desk import Desk, Next
from stepflow_tui.cli.plain.plan import open_config
from stepflow_tui.cli.plain.target import Chosen, choose_target
from stepflow_tui.engine.errors import StepFlowError, UsageError
from stepflow_tui.engine.model.advice import Answers
from stepflow_tui.engine.model.draft import CHOICES, IN_PLACE, MODES, VARIABLES, Draft
from stepflow_tui.engine.texts.advice import BUILT, KINDS, QUESTIONS
from stepflow_tui.engine.texts.checklist import item_title
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import advice as texts
from stepflow_tui.render import words

MAGIC = b"SQLite format 3\x00"
SHOWN_FILES = 20

OPTIONS: dict[str, str] = {
    "name": N_("name of the run; it is typed to confirm what can't be taken back"),
    "environment": N_("environment; production asks for the name more often"),
    "schema": N_("schema the tables go to"),
    "level": N_("how deep the result is compared: basic, standard, detailed or comprehensive"),
    "on_bad_value": N_("text that PostgreSQL can't hold: reject the row, keep it as bytea, or replace characters"),
    "backup_dir": N_("folder of the tested backup; empty: the run's own"),
    "mode": N_("mode: copy (nobody writes), live (the application keeps writing), offline (it is stopped for it)"),
    "max_wait": N_("how long a moment is looked for in which nobody reads or writes"),
    "page_size": N_("page size, changed before the conversion; empty: as it is"),
    "observe": N_("how long the new mode is watched; empty: a minute while somebody uses it"),
    "window": N_("mode offline: how long the application may be down; then the old side is started again"),
}
"""What can be changed, each in a line."""
MOVING = frozenset({"schema", "level", "on_bad_value"})
STAYING = frozenset({"max_wait", "page_size", "observe"})
"""Options that only a kind with a target has, and only one whose database stays where it is."""
IN_PLACE_MODE = N_("mode: in-place (the application goes on), offline (it is stopped for it)")


def which(desk: Desk) -> Next:
    """Which migration is needed, from what is measured and answered."""
    source, facts = _maybe_source(desk)
    answers = _answers() if facts.get("source", "sqlite") == "sqlite" else Answers()
    advice = desk.engine.advise(facts, answers)
    for line in texts.advice_lines(advice):
        output.emit_text(line)
    if not advice.built:
        return Next.HOME
    labels = (_("set it up"), _("go back"))
    return new_migration(desk, source) if ask.choose(_("What next?"), labels) == 1 else Next.HOME


def _maybe_source(desk: Desk) -> tuple[str, Mapping[str, Any]]:
    """A source to measure; none is an answer, too."""
    while True:
        typed = ask.text(_("The data you have: a SQLite file, exported files, or a PostgreSQL address (Enter: none)"))
        if not typed:
            return "", {}
        facts = desk.tried(desk.engine.survey(typed))
        if facts is not None:
            _tell(facts)
            return typed, facts


def _answers() -> Answers:
    given: dict[str, Any] = {}
    for name, question in QUESTIONS.items():
        use = partial(_maybe, yes_or_no if name == "locked" else number)
        given[name] = ask.checked(f"{_(question)} {_('(Enter: not known)')}", use)
    for name in ("writers", "users"):
        given[name] = None if given[name] is None else int(given[name])
    return Answers(**given)


def _maybe(use: Any, answer: str) -> Any:
    return use(answer) if answer else None


def new_migration(desk: Desk, source: str = "") -> Next:
    """Ask for everything, save the config, and open it."""
    if not desk.may_act():
        return Next.HOME
    kind = _kind()
    source = _source(desk, source, kind)
    name = desk.engine.suggested_name(source, kind)
    if kind in IN_PLACE:
        chosen = Chosen(target=VARIABLES)
        draft = Draft(kind=kind, mode=MODES[kind][0], source=source, target=VARIABLES, name=name)
    else:
        chosen = choose_target(desk)
        draft = Draft(kind=kind, source=source, target=chosen.target, schema=chosen.schema, name=name)
    draft = _options(desk, draft)
    draft = ask_application(desk, draft)
    draft = replace(draft, owners=_owners(desk, kind))
    path = _save(desk, draft)
    if chosen.variable:
        say(
            _("The password is not in the file. Before going on in another terminal: export {variable}=…").format(
                variable=chosen.variable
            )
        )
    return Next.HOME if path is None else open_config(desk, path)


def _kind() -> str:
    kinds = list(KINDS)
    labels = [
        words.sentences(words.about(kind, _(use)), "" if kind in BUILT else _("(comes later)"))
        for kind, use in KINDS.items()
    ]
    while True:
        kind = kinds[ask.choose(_("Which migration?"), labels, default=kinds.index(BUILT[0]) + 1) - 1]
        if kind in BUILT:
            return kind
        say(_("{kind} comes with a later version. This one can do {built}.").format(kind=kind, built=", ".join(BUILT)))


def _source(desk: Desk, given: str, kind: str = "") -> str:
    """A SQLite file whose summary was seen."""
    while True:
        typed = given or _named(desk)
        given = ""
        facts = desk.tried(desk.engine.survey(typed))
        if facts is None:
            continue
        if facts["source"] != "sqlite":
            say(_("That is no SQLite file."))
            continue
        _tell(facts)
        if note := texts.source_note(facts, kind):
            say(note)
        if ask.choose(_("Is this the source?"), (_("yes"), _("no, another file"))) == 1:
            return typed


def _named(desk: Desk) -> str:
    found = list(_databases(desk.folder))
    if found:
        picked = ask.choose(_("Which SQLite file?"), [*found, _("another file")])
        if picked <= len(found):
            return found[picked - 1]
    while not (typed := ask.text(_("Path of the SQLite file"))):
        pass
    return typed


def _databases(folder: Path) -> Iterator[str]:
    """SQLite files of the folder, by their first bytes: the files are only read."""
    with suppress(OSError):
        names = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".db", ".sqlite", ".sqlite3", ".db3"))
        for path in [p for p in names if _is_database(p)][:SHOWN_FILES]:
            yield path.name


def _is_database(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return path.is_file() and file.read(len(MAGIC)) == MAGIC
    return False


def _tell(facts: Mapping[str, Any]) -> None:
    for name, value in texts.source_rows(facts):
        output.emit_text(words.about(name, value))


def _options(desk: Desk, draft: Draft) -> Draft:
    in_place = draft.kind in IN_PLACE
    names = [name for name in OPTIONS if name not in (MOVING if in_place else STAYING)]
    while True:
        labels = [words.about(_said(name, draft), getattr(draft, name) or _("(empty)")) for name in names]
        number_ = ask.choose(_("Options; a number changes one"), [_("take them as they are"), *labels])
        if number_ == 1:
            return draft
        draft = _changed(desk, draft, names[number_ - 2])


def _changed(desk: Desk, draft: Draft, name: str) -> Draft:
    if name in CHOICES:
        choices = MODES[draft.kind] if name == "mode" else CHOICES[name]
        picked = ask.choose(_said(name, draft), [words.term(c) for c in choices],
                            default=choices.index(getattr(draft, name)) + 1)  # fmt: skip
        return _with(draft, name, choices[picked - 1])

    def use(answer: str) -> Draft:
        changed = _with(draft, name, answer)
        desk.engine.config_text(changed, desk.folder / "stepflow.yaml")
        return changed

    return ask.checked(_(OPTIONS[name]), use, getattr(draft, name))


def _said(name: str, draft: Draft) -> str:
    return _(IN_PLACE_MODE) if name == "mode" and draft.kind in IN_PLACE else _(OPTIONS[name])


def _with(draft: Draft, name: str, value: str) -> Draft:
    changes: dict[str, Any] = {name: value}
    return replace(draft, **changes)


def _owners(desk: Desk, kind: str) -> dict[str, str]:
    labels = (_("leave it open"), _("name them"))
    if ask.choose(_("Who answers for the items of the checklist?"), labels) == 1:
        return {}
    say(_("Enter alone: nobody yet."))
    owners = {}
    for when, item in desk.engine.manual_items(kind):
        owner = ask.text(words.about(words.when(when), _(item_title(item))))
        if owner:
            owners[item] = owner
    return owners


def _save(desk: Desk, draft: Draft) -> Path | None:
    """Show the file and write it, never over another one."""
    free = desk.engine.free_path(desk.folder / "stepflow.yaml")
    try:
        text = desk.engine.config_text(draft, free)
    except StepFlowError as error:
        desk.tell(error)
        return None
    output.emit_raw(text)
    if ask.choose(_("Save it as {file}?").format(file=free.name), (_("yes"), _("under another name"))) == 2:
        return ask.checked(_("File"), partial(_saved_as, desk, draft), free.name)
    try:
        return _saved(desk, free, text)
    except StepFlowError as error:
        desk.tell(error)
        return None


def _saved_as(desk: Desk, draft: Draft, name: str) -> Path:
    path = desk.folder / Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{name} is no name of a config.", hint="It ends in .yaml.", code="config_name")
    return _saved(desk, path, desk.engine.config_text(draft, path))


def _saved(desk: Desk, path: Path, text: str) -> Path:
    desk.engine.save_config(path, text)
    say(_("wrote {path}").format(path=path))
    return path

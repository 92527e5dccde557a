"""The application's part of a config file that is being written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.facade.compose_words import as_json, plain, quoted, relative
from stepflow_tui.engine.model.draft import FILES, RECIPES, ApplicationDraft
from stepflow_tui.engine.texts.language import N_, _

COMMENTS: dict[str, str] = {
    "application": N_("all optional; `stepflow application plan` shows what it comes to"),
    "set": N_("{target_dsn} and the like are filled in at the switch"),
    "recipe": N_("stops and starts it: systemd compose docker kubectl git directory command"),
    "python": N_("its interpreter: versions of SQLite and packages are read from it"),
    "saved": N_("folders and files saved beside the database"),
    "health": N_("it counts as started when this answers with 200"),
    "availability": N_("asked every second from the first phase to the last"),
}
"""What stands beside the keys."""
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}|\{[a-z_]+\}")
_PASSWORD = re.compile(r"(?i)://[^\s/@:]*:[^\s/@]+@|password\s*=\s*[^\s&]")
_SECRET_NAME = re.compile(r"(?i)password|passwd|secret|token|api_?key|_key\b")
_COLUMN = 31

SETTING = {"DATABASE_URL": "{target_dsn}"}
"""The switch of the example."""


def check_application(draft: ApplicationDraft) -> None:
    """Whether a config can hold it.

    Raises:
        UsageError: an unknown recipe, one without its key, settings without a file, a secret, an address that is none.
    """
    if draft.recipe:
        _check_recipe(draft)
    if draft.settings and not draft.settings_file:
        raise UsageError(
            "There are settings and no file they stand in.", hint="Name the settings file.", code="settings_file"
        )
    if draft.settings_file and not draft.settings:
        raise UsageError(
            f"{draft.settings_file}: no setting of it is changed.",
            hint="Give lines such as DATABASE_URL = {target_dsn}, or leave the file out.",
            code="settings_missing",
        )
    for key, value in draft.settings:
        _check_setting(key, value)
    for address in filter(None, (draft.health, draft.availability)):
        _check_address(address)


def _check_recipe(draft: ApplicationDraft) -> None:
    if draft.recipe not in RECIPES:
        raise UsageError(
            f"There is no recipe {draft.recipe!r}.", hint=f"One of {', '.join(RECIPES)}.", code="unknown_recipe"
        )
    needed = RECIPES[draft.recipe][0]
    if not draft.fields.get(needed):
        raise UsageError(
            f"A {draft.recipe} recipe needs `{needed}`.",
            hint=f"Fill in {needed}, or choose no recipe.",
            code="recipe_key",
        )


def _check_setting(key: str, value: str) -> None:
    if not key:
        raise UsageError(
            "A setting without a name.", hint="Write KEY = value, one setting a line.", code="setting_name"
        )
    literal = _REFERENCE.sub("", value)
    if _PASSWORD.search(literal) or (literal and _SECRET_NAME.search(key)):
        raise UsageError(
            f"The value of {key} would put a secret into the config file.",
            hint="Write `target_dsn` or `target_password` in braces, or refer to an exported variable: $ and its name in braces.",
            code="secret_in_setting",
        )


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(
            "An address that is asked begins with http:// or https://.",
            hint="Such as http://127.0.0.1:8000/health.",
            code="bad_address",
        )
    if parts.password and not _REFERENCE.fullmatch(parts.password):
        raise UsageError(
            "The address holds a password.",
            hint="Refer to an exported variable instead: $ and its name in braces.",
            code="secret_in_address",
        )


def application_lines(draft: ApplicationDraft, path: Path) -> Iterator[str]:
    """The section, nothing where nothing was answered. `path`: where the config is going to be."""
    if draft == ApplicationDraft():
        return
    yield _line("application:", "application")
    if draft.settings:
        yield "  switches:"
        yield f"    - file: {quoted(relative(draft.settings_file, path))}"
        yield _line("      set:", "set")
        for key, value in draft.settings:
            yield f"        {plain(key)}: {as_json(value)}"
    if draft.recipe:
        yield "  recipe:"
        yield f"    kind: {draft.recipe}"
        for key in RECIPES[draft.recipe]:
            if given := draft.fields.get(key):
                yield f"    {key}: {_value(key, given, path)}"
    if draft.health:
        yield _line("  health:", "health")
        yield f"    - http: {as_json(draft.health)}"
    if draft.availability:
        yield _line("  availability:", "availability")
        yield f"    http: {as_json(draft.availability)}"


def example_lines(*, in_place: bool) -> Iterator[str]:
    """The section as comments, for a person to fill in. `in_place`: there is no other database to switch to."""
    yield _line("# application:", "application")
    if not in_place:
        yield "#   switches:"
        yield "#     - file: .env"
        yield _line(f"#       set: {json.dumps(SETTING)}", "set")
    yield _line("#   recipe: {kind: systemd, unit: app}", "recipe")
    yield _line('#   health: [{http: "http://127.0.0.1:8000/health"}]', "health")
    yield _line('#   availability: {http: "http://127.0.0.1:8000/health"}', "availability")
    yield _line("#   backup: [./config, ./uploads]", "saved")
    if in_place:
        yield _line("#   python: venv/bin/python", "python")


def _value(key: str, value: str, path: Path) -> str:
    return quoted(relative(value, path)) if key in FILES else plain(value)


def _line(setting: str, comment: str) -> str:
    return f"{setting:{_COLUMN}} # {_(COMMENTS[comment])}"

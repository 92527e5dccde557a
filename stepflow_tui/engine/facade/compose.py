"""Writes a commented config file: what the wizard's pages and `stepflow init` end in. Never a password, never over a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from pydantic_core import PydanticCustomError

from stepflow_tui.engine.checks.checklist import ITEMS, ChecklistItem
from stepflow_tui.engine.checks.checklist_in_place import IN_PLACE_ITEMS
from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.facade.compose_application import application_lines, check_application, example_lines
from stepflow_tui.engine.facade.compose_wal import check_wal, wal_lines
from stepflow_tui.engine.facade.compose_words import as_json, plain, quoted, relative
from stepflow_tui.engine.model import dsn_words
from stepflow_tui.engine.model.config_units import parse_duration
from stepflow_tui.engine.model.draft import (
    CHOICES,
    EMBEDDED,
    ENVIRONMENT,
    IN_PLACE,
    MODES,
    VARIABLES,
    ApplicationDraft,
    Draft,
)
from stepflow_tui.engine.texts.advice import BUILT, KINDS
from stepflow_tui.engine.texts.checklist import TITLES
from stepflow_tui.engine.texts.language import N_, _

COMMENTS: dict[str, str] = {
    "name": N_("names the run; typed as confirmation"),
    "mode": N_("copy: one exact copy, nobody writes meanwhile"),
    "mode_live": N_("live: the application keeps writing; reads, then writes move"),
    "mode_offline": N_("offline: a maintenance window; stopped, copied, compared, started again"),
    "mode_in_place": N_("in-place: the application goes on; its database is converted where it is"),
    "mode_offline_in_place": N_("offline: the application is stopped, its database converted, then it starts again"),
    "environment": N_("production asks for --confirm"),
    "embedded": N_("a PostgreSQL of StepFlow's own"),
    "libpq": N_("no address: PGHOST, PGDATABASE … and ~/.pgpass"),
    "variables": N_("no address: the variables of database_env name it"),
    "database_env": N_("variables name what is left out: .env.example lists them"),
    "tables": N_("or existing: made beforehand by the application's tool"),
    "owner": N_("role that owns what is made"),
    "grant": N_("roles that may use it: rw or ro"),
    "types": N_("lines that `stepflow plan` proposes"),
    "backup": N_("the tested backup goes here; left out: the run's own folder"),
    "level": N_("basic | standard | detailed | comprehensive"),
    "on_bad_value": N_("text PostgreSQL can't hold: reject | bytea | replace"),
    "window": N_("how long it may be down; then the old side starts again by itself"),
    "checklist": N_("who answers for which item"),
}
"""What stands beside the keys."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_COLUMN = 32


def config_text(draft: Draft, path: Path) -> str:
    """The file's text; relative paths are written relative to the config's folder.

    Args:
        draft: the settings.
        path: where the file is going to be.

    Raises:
        UsageError: a kind of a later version, a name or choice that can't be, a password in the target.
    """
    _check(draft)
    return "\n".join(_lines(draft, path)) + "\n"


def manual_items(kind: str = "sqlite-to-postgres") -> tuple[tuple[str, str], ...]:
    """Items of a kind's default checklist that a person settles: when (before, during, after, rollback_…) and id, in order."""
    return tuple((item.when, item.id) for item in _items(kind) if item.manual and not item.added)


def _items(kind: str) -> tuple[ChecklistItem, ...]:
    return tuple(IN_PLACE_ITEMS if kind in IN_PLACE else ITEMS)


def suggested_name(source: str, kind: str = "sqlite-to-postgres") -> str:
    """A run's name made from its source's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).stem).strip("-._")[:40] or kind


def holds_password(target: str) -> bool:
    """Whether an address holds a password itself; one that comes from a variable does not count."""
    plain = _REFERENCE.sub("", target)
    if dsn_words.in_words(plain):
        return bool(dsn_words.secrets_in(plain))
    credentials = plain.partition("://")[2].rpartition("@")[0]
    return bool(credentials.partition(":")[2]) or re.search(r"(?i)password\s*=\s*[^\s&]", plain) is not None


def split_password(address: str) -> tuple[str, str]:
    """An address without its password, and the password percent-encoded, "" without one.

    Of keywords and values a password counts when it has ended (by a blank, or a closing quotation mark): it may be being typed.
    """
    if dsn_words.in_words(address):
        return _split_words(address)
    scheme, sep, rest = address.partition("://")
    credentials, at, place = rest.rpartition("@")
    user, _colon, password = credentials.partition(":")
    if not (sep and at and password) or _REFERENCE.search(password):
        return address, ""
    return f"{scheme}://{user}@{place}" if user else f"{scheme}://{place}", password


def _split_words(address: str) -> tuple[str, str]:
    try:
        ended = [w for w in dsn_words.words(address) if w.end < len(address) or address.endswith("'")]
    except dsn_words.BadWordsError:
        return address, ""
    found = [w for w in ended if w.key == "password" and w.value and not _REFERENCE.search(w.value)]
    for word in reversed(found):
        before = address[: word.start].rstrip().removesuffix("=").rstrip().removesuffix("password")
        address = before + address[word.end :].lstrip()
    return (address, quote(found[-1].value, safe="")) if found else (address, "")


def with_password(address: str, password: str) -> str:
    """An address with a password put in, as its form has it. Keep it in memory."""
    if dsn_words.in_words(address):
        return f"{address.rstrip()} password={dsn_words.quoted(password)}"
    scheme, _sep, rest = address.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}://{user if at else ''}:{quote(password, safe='')}@{place}"


def free_path(path: Path) -> Path:
    """The path itself, or the next name beside it that is free: `stepflow-2.yaml`."""
    number, found = 2, path
    while found.exists() or found.is_symlink():
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return found


def save_config(path: Path, text: str) -> None:
    """Write a new file, readable by its owner only.

    Raises:
        UsageError: it exists already, or can't be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(
            f"{path} exists already.",
            hint=f"Name another file with -o ({free_path(path).name} is free), or remove it.",
            code="config_exists",
        ) from None
    except OSError as exc:
        raise UsageError(
            f"{path} can't be written: {exc.strerror}.", hint="Name another file with -o.", code="config_unwritable"
        ) from exc
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def _check(draft: Draft) -> None:
    if draft.kind not in KINDS:
        raise UsageError(
            f"There is no playbook {draft.kind!r}.", hint=f"One of {', '.join(KINDS)}.", code="unknown_kind"
        )
    if draft.kind not in BUILT:
        raise UsageError(
            f"The playbook {draft.kind} is not in this version.",
            hint=f"{' and '.join(BUILT)} are.",
            code="not_in_this_version",
        )
    for key, choices in (CHOICES | {"mode": MODES[draft.kind]}).items():
        if getattr(draft, key) not in choices:
            raise UsageError(
                f"{getattr(draft, key)!r} is no {key}.", hint=f"One of {', '.join(choices)}.", code="unknown_choice"
            )
    if draft.mode == "offline":
        _check_window(draft.window)
    check_application(draft.application)
    if draft.kind in IN_PLACE:
        check_wal(draft)
    elif draft.mode != "copy" and draft.level in ("basic", "standard"):
        raise UsageError(
            f"A run in mode {draft.mode} moves writes, and {draft.level} verification proves too little for that.",
            hint="Choose detailed or comprehensive.",
            code="level_too_low",
        )
    for value in (draft.name, draft.environment):
        if value and not _NAME.fullmatch(value):
            raise UsageError(
                f"{value!r} can't be a name.",
                hint="Letters, digits, dot, underscore, hyphen; at most 63, a letter or digit first.",
                code="bad_name",
            )
    _check_rest(draft)


def _check_window(window: str) -> None:
    try:
        seconds = parse_duration(window)
    except PydanticCustomError:
        seconds = 0.0
    if not isinstance(seconds, int | float) or seconds <= 0:
        raise UsageError(
            f"{window!r} is no length of a maintenance window.", hint="Such as 30m, 2h or 90s.", code="bad_window"
        )


def _check_rest(draft: Draft) -> None:
    if draft.env_prefix and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", draft.env_prefix):
        raise UsageError(
            f"{draft.env_prefix!r} can't begin the name of a variable.",
            hint="Letters, digits and underscore, no digit first: --env-prefix SHOP_",
            code="env_prefix",
        )
    if not draft.source and not from_variables(draft):
        raise UsageError("The source is missing.", hint="Name the SQLite file.", code="no_source")
    try:
        f"{draft.source}{draft.backup_dir}{draft.env_file}".encode()
    except UnicodeEncodeError:
        raise UsageError(
            "The source's name is not UTF-8; a config file can't hold it.",
            hint="Make a link with a plain name and give that.",
            code="source_name",
        ) from None
    unknown = sorted(set(draft.owners) - ({item.id for item in _items(draft.kind)} & set(TITLES)))
    if unknown:
        raise UsageError(
            f"The checklist has no item {unknown[0]!r}.",
            hint="`stepflow status --json` lists the items of a run.",
            code="unknown_item",
        )
    if holds_password(draft.target):
        raise UsageError(
            "The target holds a password; on a command line every user of this machine can read it.",
            hint="export DATABASE_URL=…, and pass --target '${DATABASE_URL}'; or keep the password in ~/.pgpass.",
            code="password_in_argument",
        )


def _lines(draft: Draft, path: Path) -> Iterator[str]:
    in_place = draft.kind in IN_PLACE
    made = (
        _("Made by `stepflow init`. `stepflow check {file}` looks at the database and what uses it.")
        if in_place
        else _("Made by `stepflow init`. `stepflow check {file}` looks at both sides.")
    )
    yield f"# {made.format(file=path.name)}"
    yield "version: 1"
    yield _line(f"name: {plain(draft.name or suggested_name(draft.source, draft.kind))}", "name")
    yield f"kind: {draft.kind}"
    first, *others = ("mode_in_place", "mode_offline_in_place") if in_place else ("mode", "mode_live", "mode_offline")
    yield _line(f"mode: {draft.mode}", first)
    yield from (_line("", other) for other in others)
    yield _line(f"environment: {plain(draft.environment)}", "environment")
    yield from _variables(draft, path)
    if draft.source:
        yield "source:"
        yield f"  path: {quoted(relative(draft.source, path))}"
    if not in_place:
        yield from _target(draft)
        yield _line("# types:", "types")
        yield '#   by_column: {orders: {total: "numeric(12,2)"}}'
    if draft.backup_dir:
        yield "backup:"
        yield _line(f"  dir: {quoted(relative(draft.backup_dir, path))}", "backup")
    elif in_place:
        yield _line("# backup: {dir: ./backups}", "backup")
    if in_place:
        yield from wal_lines(draft)
    else:
        yield "verify:"
        yield _line(f"  level: {draft.level}", "level")
        yield "copy:"
        yield _line(f"  on_bad_value: {draft.on_bad_value}", "on_bad_value")
    if draft.mode == "offline":
        yield "cutover:"
        yield _line(f"  window: {draft.window}", "window")
    if draft.mode != "copy" and draft.application == ApplicationDraft():
        yield from example_lines(in_place=in_place)
    yield from application_lines(draft.application, path)
    yield from _checklist(draft)


def from_variables(draft: Draft) -> bool:
    """Whether source and target are looked up in the environment where they are left out."""
    return bool(draft.env_file) or draft.env_prefix is not None


def _variables(draft: Draft, path: Path) -> Iterator[str]:
    if from_variables(draft):
        yield _line("database_env:", "database_env")
        yield f"  file: {quoted(relative(draft.env_file or str(path.parent / '.env'), path))}"
        yield f"  prefix: {as_json(draft.env_prefix or '')}"


def _target(draft: Draft) -> Iterator[str]:
    yield "target:"
    if draft.target == EMBEDDED:
        yield _line("  embedded: true", "embedded")
    elif draft.target == ENVIRONMENT:
        yield f"  # {_(COMMENTS['libpq'])}"
    elif draft.target == VARIABLES:
        yield f"  # {_(COMMENTS['variables'])}"
    else:
        yield f"  dsn: {as_json(draft.target)}"
    yield f"  schema: {plain(draft.schema)}"
    yield _line("  tables: create", "tables")
    yield _line("  # owner: app_owner", "owner")
    yield _line("  # grant: {app_role: rw}", "grant")


def _checklist(draft: Draft) -> Iterator[str]:
    named = [item for item in _items(draft.kind) if draft.owners.get(item.id)]
    if not named:
        return
    yield _line("checklist:", "checklist")
    for when in dict.fromkeys(item.when for item in named):
        yield f"  {when}:"
        for item in named:
            if item.when == when:
                yield f"    - {{id: {item.id}, title: {quoted(TITLES[item.id])}, owner: {quoted(draft.owners[item.id])}}}"


def _line(setting: str, comment: str) -> str:
    return f"{setting:{_COLUMN - 1}} # {_(COMMENTS[comment])}"

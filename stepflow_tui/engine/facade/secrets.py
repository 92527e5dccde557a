"""All secrets that a config brings with it: what must stand in no line of a monitor, a doctor, or a support bundle."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, urlsplit

from pydantic import BaseModel, SecretStr

from stepflow_tui.engine.config_dotenv import read_dotenv
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model import dsn_words
from stepflow_tui.engine.model.secret_words import sounds_secret
from stepflow_tui.engine.postgres.connect import Target

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig

LONG_ENOUGH = 6
"""Shorter values (`true`, `8000`) would blot out ordinary words."""
_ADDRESS = re.compile(r"_ur[il]$|^ur[il]$", re.IGNORECASE)
"""Addresses have passwords and tokens in them."""


def secret_name(name: str) -> bool:
    """Whether a variable or key of that name is likely to hold a secret."""
    return sounds_secret(name) or _ADDRESS.search(name) is not None


def secrets_of(loaded: LoadedConfig | None, env: Mapping[str, str] | None = None) -> set[str]:
    """Every secret of a config, its environment, its application's file of variables and the password file; each in the
    forms in which it may be printed.

    Args:
        loaded: the config; None: what the environment alone tells.
        env: the environment, this process's own if left out.
    """
    env = os.environ if env is None else env
    found = {value for name, value in env.items() if secret_name(name) and not _is_path(value)}
    if loaded is not None:
        found |= {value for value in loaded.used_env.values() if not _is_path(value)}
        found |= set(_within(loaded.config)) | _of_application(loaded, env) | _of_target(loaded, env)
    return {form for value in found for form in _forms(value) if len(form) >= LONG_ENOUGH}


def _is_path(value: str) -> bool:
    return value.startswith(("/", "./", "../")) and Path(value).exists()


def _within(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _within(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _within(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _within(inner)


def _of_application(loaded: LoadedConfig, env: Mapping[str, str]) -> set[str]:
    file = loaded.config.application.env
    if file is None:
        return set()
    try:
        found = read_dotenv(file.file, env) or {}
    except StepFlowError:
        return set()  # nothing of a file that can't be read is ever shown
    return {value for name, value in found.items() if secret_name(name) or name in file.secrets}


def _of_target(loaded: LoadedConfig, env: Mapping[str, str]) -> set[str]:
    if loaded.config.in_place or loaded.config.target.embedded:
        return set()
    dsn = loaded.config.target.dsn
    try:
        return set(Target.from_config(dsn.get_secret_value() if dsn else None, env).secrets)
    except StepFlowError:
        return set()


def _forms(value: str) -> Iterable[str]:
    """A secret, a password inside it, and both as URIs and JSON write them."""
    for one in {value, *_password(value)}:
        yield from {one, quote(one), quote(one, safe=""), quote_plus(one), unquote(one), json.dumps(one)[1:-1]}


def _password(value: str) -> set[str]:
    if in_words := dsn_words.secrets_in(value):
        return in_words
    try:
        found = urlsplit(value).password if "://" in value else None
    except ValueError:
        return set()
    return {found} if found else set()

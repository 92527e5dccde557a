"""The config as it was when the application was stopped: whoever edits the file meanwhile must not keep it from being started again.

It is kept in the run's folder, readable by its owner alone, until nobody goes back any more. Secrets are written nowhere: a file
that holds some is kept without them, and they are read from the file as it is when they are needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import yaml
from pydantic import SecretStr

from stepflow_tui.engine.application.recipes import recipes_of
from stepflow_tui.engine.application.recipes.calls import write_private
from stepflow_tui.engine.config import LoadedConfig, changed_keys, config_of, load_config
from stepflow_tui.engine.config_expand import HIDDEN, redact
from stepflow_tui.engine.config_yaml import Node, Path_, parse
from stepflow_tui.engine.errors import Refused, StepFlowError
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.model.redact import MASK, Redact, redactor
from stepflow_tui.engine.model.secret_words import sounds_secret
from stepflow_tui.engine.steps.application.bookkeeping import FOLDER, KEPT
from stepflow_tui.engine.steps.application.state import StateFile

FILE, BLOTTED = "config.yaml", "config-without-secrets.yaml"
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")  # a default value would stand in the file

Load = Callable[[Path, Mapping[str, str]], LoadedConfig]
"""`engine.config.load_config`."""


def keep_config(run_dir: Path, loaded: LoadedConfig, clean: Redact) -> bool:
    """Keep this one; on disk when it returns. False: without the secrets that stand in it."""
    text = loaded.data.decode("utf-8", "surrogateescape")
    whole = not _holds_secret(text, loaded, clean)
    forget_config(run_dir)
    write_private(run_dir / FOLDER / (FILE if whole else BLOTTED), text if whole else loaded.redacted)
    return whole


def _holds_secret(text: str, loaded: LoadedConfig, clean: Redact) -> bool:
    without_variables = _REFERENCE.sub(MASK, text)
    if clean(without_variables) != without_variables:
        return True
    return any(value in without_variables for value in _secrets(loaded.config.model_dump()) if value)


def _secrets(value: object, name: str = "") -> Iterator[str]:
    """What stands under names that sound secret (`env: {SECRET_KEY: ...}`, `headers: {Authorization: ...}`)."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _secrets(inner, str(key))
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _secrets(inner, name)
    elif isinstance(value, SecretStr) and sounds_secret(name):
        text = value.get_secret_value()
        # in an address the redaction finds the password; `{target_dsn}` is none
        if "://" not in text and "{" not in text:
            yield text


def forget_config(run_dir: Path) -> None:
    """Nobody goes back by it any more."""
    for name in (FILE, BLOTTED):
        (run_dir / FOLDER / name).unlink(missing_ok=True)


def config_to_go_back(run_dir: Path, path: Path, env: Mapping[str, str], load: Load = load_config) -> LoadedConfig:
    """The file as it is now where the run can go back by it; else as it was when the application was stopped.

    Args:
        path: the config file; what is kept is read as if it stood there.
        env: the environment for `${VAR}`.

    Raises:
        StepFlowError: neither can be used.
    """
    kept = next((k for name in (FILE, BLOTTED) if (k := run_dir / FOLDER / name).exists()), None)
    if kept is None:
        return load(path, env)
    try:
        now = load(path, env)
        if fits(run_dir, now):
            return now
    except StepFlowError:
        pass  # what is kept takes its place; where that can't be used either, it says why
    data = kept.read_bytes() if kept.name == FILE else _with_secrets(kept.read_bytes(), path)
    return replace(config_of(data, path, env), kept=True)


def _with_secrets(blotted: bytes, path: Path) -> bytes:
    """The kept config with the secrets of the file as it is, each from the place where it stood.

    Raises:
        Refused: `config_changed`: one does not stand there any more.
    """
    try:
        now = parse(path.read_bytes()).root
    except OSError:
        now = None
    filled = _filled(parse(blotted).root, now, ())
    return yaml.safe_dump(filled, sort_keys=False, allow_unicode=True).encode()


def _filled(kept: Node, now: Node, at: Path_) -> Node:
    if isinstance(kept, dict):
        other = now if isinstance(now, dict) else {}
        return {key: _filled(value, other.get(key), (*at, key)) for key, value in kept.items()}
    if isinstance(kept, list):
        others = now if isinstance(now, list) else []
        return [_filled(v, others[i] if i < len(others) else None, (*at, i)) for i, v in enumerate(kept)]
    if not (isinstance(kept, str) and HIDDEN in kept):
        return kept
    if isinstance(now, str) and redact(now, at) == kept:
        return now
    raise Refused(
        "The config was edited since the application was stopped, and what it was can't be made up for.",
        detail=f"{'.'.join(map(str, at))}: a secret stood there, and secrets are not kept",
        hint="Put the old values back, then try again.",
        code="config_changed",
    )


def fits(run_dir: Path, loaded: LoadedConfig) -> bool:
    """Whether a config moves the same things as the run does, and says how all that it stopped is started.

    Raises:
        StepFlowError: the run's folder can't be read, or a recipe can't be used.
    """
    with RunReader(run_dir) as reader:
        known = (reader.run() or {})["config"]
    if changed_keys(known["relevant"], loaded.plan_relevant) or changed_keys(known["sides"], loaded.sides):
        return False
    folder = run_dir / FOLDER
    recipes = recipes_of(loaded.config.application, folder=loaded.path.parent, keep=folder / KEPT, redact=redactor(()))
    return not StateFile(folder).load().before.keys() - {recipe.name for recipe in recipes}

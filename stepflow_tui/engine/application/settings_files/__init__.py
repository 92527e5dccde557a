"""The formats of settings files, one a file: where a key's value stands, and how a new one is written in its style."""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.engine.application.settings_files.base import Facts, Format, Place, Splice, Steps, Unfit
from stepflow_tui.engine.application.settings_files.dotenv import Dotenv
from stepflow_tui.engine.application.settings_files.ini import Ini
from stepflow_tui.engine.application.settings_files.json_ import Json
from stepflow_tui.engine.application.settings_files.python_ import Python
from stepflow_tui.engine.application.settings_files.toml_ import Toml
from stepflow_tui.engine.application.settings_files.yaml_ import Yaml
from stepflow_tui.engine.model.config_application import SwitchFormat

FORMATS: dict[SwitchFormat, Format] = {
    SwitchFormat.DOTENV: Dotenv(),
    SwitchFormat.YAML: Yaml(),
    SwitchFormat.TOML: Toml(),
    SwitchFormat.JSON: Json(),
    SwitchFormat.INI: Ini(),
    SwitchFormat.PYTHON: Python(),
}
_ENDINGS = {
    ".env": SwitchFormat.DOTENV, ".yaml": SwitchFormat.YAML, ".yml": SwitchFormat.YAML, ".toml": SwitchFormat.TOML,
    ".json": SwitchFormat.JSON, ".jsonc": SwitchFormat.JSON, ".ini": SwitchFormat.INI, ".cfg": SwitchFormat.INI,
    ".cnf": SwitchFormat.INI,
    ".conf": SwitchFormat.INI, ".properties": SwitchFormat.INI, ".py": SwitchFormat.PYTHON,
}  # fmt: skip


def format_of(path: Path) -> SwitchFormat | None:
    """By the file's ending or name (`.env`, `.env.production`, `prod.env`); None where it tells nothing."""
    known = _ENDINGS.get(path.suffix.lower())
    if known is None and (path.name == ".env" or path.name.startswith((".env.", "env."))):
        return SwitchFormat.DOTENV
    return known


__all__ = ["FORMATS", "Facts", "Format", "Place", "Splice", "Steps", "Unfit", "format_of"]

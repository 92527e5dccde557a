"""Files whose readers make something else of `$` or a backslash, in quotes too: a password would arrive as another one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from stepflow_tui.engine.application.settings_files import Unfit
from stepflow_tui.engine.model.config_application import SwitchFormat

_COMPOSE = re.compile(r"(?:docker-)?compose(?:[._-].*)?\.ya?ml", re.IGNORECASE)
_LONE = re.compile(r"(?<!\$)(?:\$\$)*\$(?![${])")
_EXPANDING = frozenset(
    {"dotenv-expand", "next", "vite", "react-scripts", "nuxt", "astro", "@sveltejs/kit", "@vue/cli-service"}
)
"""Packages of Node that fill variables in after they have read a .env file, when its quotes are gone."""


def is_compose(file: Path) -> bool:
    """Whether Docker Compose reads the file, where `$$` is one dollar."""
    return _COMPOSE.fullmatch(file.name) is not None


def as_read(file: Path, values: Mapping[str, str]) -> Mapping[str, str]:
    """The placeholders' values as that file has to say them."""
    return {k: v.replace("$", "$$") for k, v in values.items()} if is_compose(file) else values


def refuse_filled_in(file: Path, form: SwitchFormat | None, wanted: str) -> None:
    """Refuse a value that the file's reader would change.

    Raises:
        Unfit: `setting_value`.
    """
    if is_compose(file) and _LONE.search(wanted):
        raise Unfit("setting_value", "Compose would take what stands behind $ for a variable", "write $$ for one $")
    if file.suffix.lower() == ".properties" and re.sub(r"\\\\|\\u[0-9A-Fa-f]{4}", "", wanted).count("\\"):
        raise Unfit("setting_value", "Java would drop its backslash", "write \\\\ for one backslash")
    if form is SwitchFormat.DOTENV and "$" in wanted and (package := _expanding(file.parent / "package.json")):
        raise Unfit(
            "setting_value",
            f"{package} of the package.json beside it would take what stands behind $ for a variable, in quotes too",
            "choose a value without $, in an address write %24",
        )


def _expanding(package: Path) -> str:
    """The package that fills variables in, "" if there is none."""
    try:
        found = json.loads(package.read_bytes())
        names = {n for part in ("dependencies", "devDependencies") for n in found.get(part) or ()}
    except (OSError, ValueError, AttributeError, TypeError):
        return ""
    return min(names & _EXPANDING, default="")

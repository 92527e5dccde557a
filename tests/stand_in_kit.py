"""What the tests of recipes with stand-ins share: a recipe made of a config, and the life of a changeover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepflow_tui.engine.application.recipes import recipes_of
from stepflow_tui.engine.application.recipes.base import Before, Recipe
from stepflow_tui.engine.model.config_application import Application
from stepflow_tui.engine.model.redact import redactor

SECRET = "hunter2-very-secret"


def recipe(folder: Path, **config: Any) -> Recipe:
    """The one recipe of a config."""
    (made,) = recipes_of(
        Application.model_validate({"recipe": {k: v if isinstance(v, dict) else str(v) for k, v in config.items()}}),
        folder=folder,
        keep=folder / "keep",
        redact=redactor([SECRET]),
    )
    return made


async def forward(made: Recipe) -> Before:
    """Look, stop, deploy, start."""
    before = await made.look()
    await made.stop(before)
    await made.deploy(before)
    await made.start(before)
    return before


async def back(made: Recipe, before: Before) -> None:
    """Stop, put back, start."""
    await made.stop(before)
    await made.put_back(before)
    await made.start(before)

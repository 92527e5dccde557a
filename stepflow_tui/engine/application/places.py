"""Which settings stand in what a recipe replaces: they are changed after it, in the new version; all others before, because
builds read them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from stepflow_tui.engine.model.config_application import Application, Recipe, RecipeKind, Switch

GIT_SECONDS = 10.0


def settings_inside(application: Application) -> tuple[Switch, ...]:
    """Switches of files that come with a new version: in a folder that is exchanged, or known to its repository."""
    return tuple(s for s in application.switches if any(_comes_with(r, s.file) for r in application.recipe))


def settings_beside(application: Application, inside: Iterable[Switch]) -> tuple[Switch, ...]:
    """All others."""
    left = tuple(inside)
    return tuple(s for s in application.switches if s not in left)


def as_released(application: Application, inside: Sequence[Switch]) -> tuple[Switch, ...]:
    """The same switches, of the version that is not in place yet, to look whether they can be carried out."""
    return tuple(_released(application, switch) for switch in inside)


def _released(application: Application, switch: Switch) -> Switch:
    for recipe in application.recipe:
        if recipe.kind is RecipeKind.DIRECTORY and recipe.release is not None and _within(recipe, switch.file):
            assert recipe.directory is not None
            return switch.model_copy(update={"file": recipe.release / switch.file.relative_to(recipe.directory)})
    return switch


def _comes_with(recipe: Recipe, file: Path) -> bool:
    if not _within(recipe, file):
        return False
    return recipe.kind is RecipeKind.DIRECTORY or (recipe.kind is RecipeKind.GIT and _tracked(recipe, file))


def _within(recipe: Recipe, file: Path) -> bool:
    return recipe.directory is not None and file.is_relative_to(recipe.directory)


def _tracked(recipe: Recipe, file: Path) -> bool:
    """Whether the repository knows it; where git can't say, the recipe itself will tell what is wrong."""
    command = ["git", "-C", str(recipe.directory), "ls-files", "--error-unmatch", "--", str(file)]
    try:
        return subprocess.run(command, capture_output=True, timeout=GIT_SECONDS, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False

"""How the application is stopped, deployed and started: one file per kind, all of them do what `base.Recipe` says."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import cast

from stepflow_tui.engine.application.recipes.base import Recipe
from stepflow_tui.engine.application.recipes.preparing import Preparing, builds_of
from stepflow_tui.engine.application.recipes.spoken import without_values
from stepflow_tui.engine.errors import ConfigError
from stepflow_tui.engine.model.config_application import Application, RecipeKind
from stepflow_tui.engine.model.redact import Redact, redactor
from stepflow_tui.engine.model.secret_words import plain

KINDS = {
    RecipeKind.SYSTEMD: "systemd.SystemdRecipe",
    RecipeKind.COMPOSE: "compose.ComposeRecipe",
    RecipeKind.DOCKER: "docker.DockerRecipe",
    RecipeKind.KUBECTL: "kubectl.KubectlRecipe",
    RecipeKind.IMAGE: "image.ImageRecipe",
    RecipeKind.GIT: "git.GitRecipe",
    RecipeKind.DIRECTORY: "directory.DirectoryRecipe",
    RecipeKind.COMMAND: "command.CommandRecipe",
}
"""Module and class of each kind, loaded when one is used."""


def recipes_of(config: Application, *, folder: Path, keep: Path, redact: Redact) -> tuple[Recipe, ...]:
    """The configured recipes, in the order in which they run. Touches nothing.

    Args:
        config: the `application` section.
        folder: the config file's folder.
        keep: private folder of the run for what recipes must remember until it is decided which side stays; each of them
            makes a folder of its own in it, when it first needs one.
        redact: blots secrets out; the values of all recipes' `env` are added to what it knows.

    Raises:
        ConfigError: `recipe_twice`, two recipes would handle the same thing.
    """
    given = ((k, v.get_secret_value()) for recipe in config.recipe for k, v in recipe.env.items())
    values = redactor(value for name, value in given if not plain(name, value))

    def hidden(text: str) -> str:
        return redact(values(without_values(text)))

    made = []
    for number, recipe in enumerate(config.recipe, 1):
        module, _, name = KINDS[recipe.kind].partition(".")
        kind = getattr(import_module(f"{__name__}.{module}"), name)
        own = keep / f"{number}-{recipe.kind.value}"
        one = kind(recipe, folder=folder, keep=own, redact=hidden)
        cast(Preparing, one).builds = builds_of(config, recipe)
        made.append(cast(Recipe, one))
    twice = sorted(name for name, times in Counter(r.name for r in made).items() if times > 1)
    if twice:
        raise ConfigError(
            f"Two recipes handle the same thing: {twice[0]}.",
            detail="application.recipe: each entry must name another unit, container, folder or pid file",
            hint="Remove one of the two, or give each its own `pid_file`.",
            code="recipe_twice",
        )
    return tuple(made)

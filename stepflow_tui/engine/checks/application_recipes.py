"""Can the application be stopped, deployed and started as configured, and would no recipe move the data itself?"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stepflow_tui.engine.application.recipes import recipes_of
from stepflow_tui.engine.application.recipes.base import Before, Recipe
from stepflow_tui.engine.checks.application_health import SHORTEST, secrets
from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.config_application import RecipeKind
from stepflow_tui.engine.model.finding import Finding, blocking, info
from stepflow_tui.engine.model.redact import redactor
from stepflow_tui.engine.sqlite.connect import real_path


async def run(ctx: CheckContext) -> list[Finding]:
    """Every recipe looks at what stands now, which changes nothing; it refuses what could not be put back."""
    application = ctx.config.application
    if ctx.config.mode is Mode.OFFLINE and not application.recipe:
        return [info("wal_offline_no_recipe" if ctx.config.in_place else "offline_no_recipe", "application.recipe")]
    if ctx.config.mode is Mode.COPY or ctx.folder is None or not application.recipe:
        return []
    found = list(_moved(ctx))
    redact = redactor(s for s in secrets(application) if len(s) >= SHORTEST)
    with tempfile.TemporaryDirectory(prefix="stepflow-") as keep:
        try:
            recipes = recipes_of(application, folder=ctx.folder, keep=Path(keep), redact=redact)
        except StepFlowError as error:
            return [*found, _refused("application.recipe", error)]
        for recipe, written in zip(recipes, application.recipe, strict=True):
            # which services of a whole Compose file use the database stands in the file, see `wal_containers`
            whole = written.kind is RecipeKind.COMPOSE and written.service is None
            found += await _look(recipe, once=ctx.config.in_place and not whole)
    return found


async def _look(recipe: Recipe, *, once: bool) -> list[Finding]:
    try:
        before = await recipe.look()
    except StepFlowError as error:
        return [_refused(recipe.name, error)]
    return list(_several(recipe.name, before)) if once else []


def _several(name: str, before: Before) -> Iterator[Finding]:
    """Pods of a deployment, containers of a service: more than one would share the database's file."""
    counts = Counter(
        str(c["service"]) for c in before.get("containers", ()) if isinstance(c, dict) and c.get("running")
    )
    for service, count in counts.items():
        if count > 1:
            yield blocking("wal_replicas", f"{name}: {service}", what=f"{name}: {service}", count=count)
    if int(before.get("replicas") or 1) > 1:
        yield blocking("wal_replicas", name, what=name, count=int(before["replicas"]))


def _refused(name: str, error: StepFlowError) -> Finding:
    return blocking(
        "application_recipe", name, problem=error.code, message=error.message, detail=error.detail, hint=error.hint
    )


def _moved(ctx: CheckContext) -> Iterator[Finding]:
    """A folder that gives way to its new version takes everything in it along."""
    data = {
        "the database": real_path(ctx.config.source.path),
        "StepFlow's state": ctx.state_dir.resolve(),
        "the backups": ctx.backup_dir.resolve(),
    }
    for recipe in ctx.config.application.recipe:
        if recipe.kind is not RecipeKind.DIRECTORY or recipe.directory is None:
            continue
        folder = recipe.directory.resolve()
        for what, path in data.items():
            if path == folder or path.is_relative_to(folder):
                yield blocking("recipe_moves_data", str(recipe.directory), what=what, path=str(path))

"""What a changeover remembers and tells: its state on disk, its recipes, events, and what is shown of the application."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.application.health import Answer, Sql
from stepflow_tui.engine.application.recipes import recipes_of
from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.model.config_application import Application, RecipeKind
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.model.redact import Redact
from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.steps.application.findings import redact_of
from stepflow_tui.engine.steps.application.state import UNDERWAY, Stage, State, StateFile
from stepflow_tui.engine.steps.application.wellbeing import sql_of

if TYPE_CHECKING:
    from stepflow_tui.engine.application.recipes.base import Recipe
    from stepflow_tui.engine.steps.context import RunContext

FOLDER, KEPT = "application", "recipes"
"""In the run's folder: everything about the application; in it, what recipes keep."""


def changes_application(application: Application) -> bool:
    """Whether the config says how the application gets to the other side."""
    return bool(application.switches or application.recipe)


_DEPLOYS = frozenset({RecipeKind.GIT, RecipeKind.DIRECTORY, RecipeKind.IMAGE})
"""Kinds that put something in place and start nothing."""


def restarts_application(application: Application) -> bool:
    """Whether a recipe starts it. Where none does, it is restarted by a hook or by hand, after this: nobody can wait for it."""
    return any(recipe.kind not in _DEPLOYS for recipe in application.recipe)


class Bookkeeping:
    """One engine's knowledge of where the application is."""

    def __init__(self, ctx: RunContext) -> None:
        self.ctx = ctx
        self.config = ctx.config.application
        self.folder = ctx.loaded.path.parent
        self._file = StateFile(ctx.run_dir / FOLDER)
        self._state: State | None = None
        self._recipes: tuple[Recipe, ...] | None = None
        self._answers: dict[str, dict[str, Any]] = {}

    @property
    def configured(self) -> bool:
        """Whether there is anything to do."""
        return changes_application(self.config)

    @property
    def stage(self) -> Stage:
        """Where the application is. Raises StepFailed when that can't be read."""
        return self.state.stage

    @property
    def underway(self) -> bool:
        """Whether somebody began to move it and has not come to an end."""
        return self.stage in UNDERWAY

    @property
    def state(self) -> State:
        """As it is on disk."""
        if self._state is None:
            self._state = self._file.load()
        return self._state

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """In the order in which they are carried out. Raises StepFlowError when one can't be used here."""
        if self._recipes is None:
            keep = self.private(KEPT)
            self._recipes = recipes_of(self.config, folder=self.folder, keep=keep, redact=self.redact)
        return self._recipes

    async def show(self) -> None:
        """Bring the gauge up to date."""
        state = self.state
        at = state.restarted_at_ms
        standing = [one for recipe in self.recipes if (one := await _shown_standing(recipe)) is not None]
        self.ctx.journal.gauge(
            "application",
            {
                "state": state.stage.value,
                "standing": standing,
                "last_restart": None if at is None else iso_utc(at),
            },
        )

    async def enter(self, stage: Stage) -> None:
        """Write down what is about to be done."""
        self.state.stage = stage
        await self.save()
        self.ctx.journal.gauge("application", {"state": stage.value})
        await self.tell("application_stage", stage=stage.value)

    async def save(self) -> None:
        """On disk when it returns."""
        await asyncio.to_thread(self._file.save, self.state)

    async def tell(self, code: str, level: Level = Level.INFO, **data: Any) -> None:
        """An event, and an entry of the audit."""
        await self.ctx.journal.event(code, data, level=level)
        await self.ctx.journal.audit(self.ctx.answers.who or "the engine", code, data)

    def private(self, name: str) -> Path:
        """A folder that only its owner may look into."""
        self._file.folder.mkdir(mode=0o700, exist_ok=True)
        folder = self._file.folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    @property
    def redact(self) -> Redact:
        """Blots the run's secrets out."""
        return redact_of(self.ctx)

    def before(self, recipe: Recipe) -> Mapping[str, Any]:
        """What stood before this recipe did anything. Raises StepFailed (`recipe_unknown`) where nobody knows."""
        known = self.state.before.get(recipe.name)
        if known is None:
            raise self._unknown(f"What stood before {recipe.name} was changed is not known")
        return known

    def need_recipes(self) -> None:
        """Raise StepFailed (`recipe_unknown`) where the config lacks a recipe that this run carried out: what it stopped would
        never be started again."""
        missing = sorted(self.state.before.keys() - {recipe.name for recipe in self.recipes})
        if missing:
            raise self._unknown(f"Nothing says any more how {', '.join(missing)} is started")

    def _unknown(self, what: str) -> StepFailed:
        return StepFailed(
            f"{what}: the config names another recipe now.",
            detail=f"recipes of the run: {', '.join(self.state.before) or 'none'}",
            hint="Put the recipes back into the config as they were when the application was switched.",
            code="recipe_unknown",
        )

    def sql(self, *, new: bool) -> Sql:
        """Asks one of the sides."""
        return sql_of(self.ctx, new=new)

    def told(self, answer: Answer) -> None:
        """While the application is on its way, nobody else asks how it is."""
        self._answers[answer.what] = {
            "what": answer.what, "ok": answer.ok, "reason": answer.reason, "seconds": answer.seconds,
            "at_ms": self.ctx.clock.now_ms(),
        }  # fmt: skip
        self.ctx.journal.gauge("application", {"health": list(self._answers.values())})


async def _shown_standing(recipe: Recipe) -> dict[str, Any] | None:
    try:
        stands = await recipe.standing()
    except StepFlowError:
        return None
    if stands is None:
        return None
    return {
        "what": stands.what, "running": stands.running, "version": stands.version, "pid": stands.pid, "since": stands.since,
    }  # fmt: skip

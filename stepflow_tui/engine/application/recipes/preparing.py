"""What recipes can do while the application still runs, so that a failing pull or build costs nobody a stopped application.

A pull and a build of an image touch no container that runs, but they move tags. `Images` puts the tags back at once and
remembers what was made; `deploy` lets them point to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from stepflow_tui.engine.application.recipes.base import Before, Planned
from stepflow_tui.engine.application.recipes.containers import Docker, pinned
from stepflow_tui.engine.application.recipes.notes import Notes
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.config_application import Application, Recipe, RecipeKind
from stepflow_tui.engine.together import to_the_end

_FILE = "prepared.json"
_SOURCES = frozenset({RecipeKind.GIT, RecipeKind.DIRECTORY, RecipeKind.IMAGE})
"""Kinds whose result another recipe's build may be made of."""


class Builds(StrEnum):
    """When an image is built."""

    BEFORE = "before"  # the application is stopped: nothing that the build may read changes any more
    TWICE = "twice"  # before, which proves that it can be built, and once more with the new settings
    AFTER = "after"  # what it is made of comes with another recipe, when the application is stopped


def builds_of(config: Application, recipe: Recipe) -> Builds:
    """When a recipe's image is built: it may read settings that are switched, and code that others deploy."""
    others = [other for other in config.recipe if other is not recipe]
    if any(other.kind in _SOURCES or (other.kind is RecipeKind.COMMAND and other.build) for other in others):
        return Builds.AFTER
    return Builds.TWICE if config.switches or any(other.build for other in others) else Builds.BEFORE


class Preparing:
    """What every recipe has; one that can prepare nothing leaves it as it is."""

    builds: Builds = Builds.AFTER

    async def prepare(self, before: Before) -> None:
        """Do what can be done while the application runs, and changes nothing of it. Done again by every engine.

        Raises:
            StepFailed: it can't be done; everything is as before.
        """

    def built(self, text: str, *, early: bool = True) -> Sequence[Planned]:
        """A build as a dry run shows it. `early`: whether the recipe can build beforehand at all."""
        if not early or self.builds is Builds.AFTER:
            return (Planned(action="build", text=text),)
        first = Planned(action="prepare", text=text)
        again = Planned(action="build", text=f"{text}  (once more, with the new settings)")
        return (first, again) if self.builds is Builds.TWICE else (first,)


def in_order(steps: Iterable[Planned]) -> tuple[Planned, ...]:
    """What is prepared comes before the stop."""
    return tuple(sorted(steps, key=lambda step: step.action != "prepare"))


class Images:
    """Images that were pulled or built before they are needed.

    Args:
        docker: the server.
        keep: the recipe's private folder.
    """

    def __init__(self, docker: Docker, keep: Path) -> None:
        self._docker = docker
        self._notes = Notes(keep, _FILE)

    async def make(self, references: Iterable[str], work: Callable[[], Awaitable[object]], *, lasting: bool) -> None:
        """Pull or build, and let every tag point to where it pointed before. A tag that was not there stays.

        Args:
            references: the tags that may move.
            work: pulls or builds.
            lasting: whether `use` may take what was made.
        """
        tags = sorted({r for r in references if r and not pinned(r)})
        was = {tag: await self.before(tag) for tag in tags}
        self._notes.set(was={**self._was, **was}, made={})
        failpoint("recipe_prepare_noted")
        try:
            await work()
            made = {tag: await self._docker.image_id(tag) for tag in tags}
        except StepFlowError as error:
            await self._back_after(error)
            raise
        except BaseException:  # cancelled: a tag that has moved would be taken by a later start of the old side
            await to_the_end(self._tags_back())
            raise
        failpoint("recipe_prepare_made")
        await self._tags_back()
        self._notes.set(made={tag: image for tag, image in made.items() if image} if lasting else {})

    async def use(self, references: Iterable[str]) -> bool:
        """Let the tags point to what was made. False where there is nothing, or not all of it any more."""
        made = {str(tag): str(image) for tag, image in self._notes.read().get("made", {}).items()}
        wanted = {r for r in references if r and not pinned(r)}
        if not wanted or not wanted <= made.keys():
            return False
        for image in made.values():
            if not await self._docker.image_id(image):
                return False
        for tag, image in made.items():
            await self._docker.tag(image, tag)
        return True

    async def before(self, tag: str) -> str:
        """The image that a tag points to, "" for none; seen through what an engine that died in between has moved."""
        was = self._was
        return was[tag] if tag in was else await self._docker.image_id(tag)

    @property
    def _was(self) -> dict[str, str]:
        return {str(tag): str(image) for tag, image in self._notes.read().get("was", {}).items()}

    async def _tags_back(self) -> None:
        was = self._was
        for tag, image in was.items():
            if image:
                await self._docker.tag(image, tag)
        self._notes.set(was={tag: image for tag, image in was.items() if not image})  # those are new for good

    async def _back_after(self, error: StepFlowError) -> None:
        """What went wrong first is told; that a tag could not be put back is told with it."""
        try:
            await self._tags_back()
        except StepFlowError as worse:
            error.detail = f"{error.detail}\nA tag could not be put back: {worse.message}".strip()

"""Lets an image's tag point to another version: pulled, built, or named by its digest; and back to what it pointed to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stepflow_tui.engine.application.recipes.base import Before, Planned, Standing
from stepflow_tui.engine.application.recipes.calls import Calls
from stepflow_tui.engine.application.recipes.containers import AWAY, DENIED, Docker, kept_tag
from stepflow_tui.engine.application.recipes.kubectl_objects import repository
from stepflow_tui.engine.application.recipes.preparing import Builds, Images, Preparing
from stepflow_tui.engine.application.recipes.shell import Shell
from stepflow_tui.engine.errors import ConfigError, StepFailed
from stepflow_tui.engine.model.config_application import Recipe
from stepflow_tui.engine.model.redact import Redact


class ImageRecipe(Preparing):
    """`kind: image`. `image: repo:tag` is pulled; with a digest (`repo:tag@sha256:…`, or `revision`) the tag is put on that.

    It starts nothing: another recipe runs containers of the tag.
    """

    def __init__(self, config: Recipe, *, folder: Path, keep: Path, redact: Redact) -> None:
        assert config.image is not None
        self._tag, self._source = _references(config.image, config.revision)
        self._build = config.build
        self._calls = Calls(config, folder=folder, redact=redact, denied=DENIED, away=AWAY)
        self._shell = Shell(config, keep=keep, redact=redact)
        self._shell.env = self._calls.env
        self._docker = Docker(self._calls)
        self._images = Images(self._docker, keep)

    @property
    def name(self) -> str:
        """`image registry.example.com/shop:2`."""
        return f"image {self._tag}"

    async def look(self) -> Before:
        """Record the image that the tag points to, and its digests; refuses what can't be had."""
        old = await self._images.before(self._tag)
        if not self._build:
            await self._docker.can_be_had(self._source)
        found = (await self._docker.image(old) if old else None) or {}
        return {"tag": self._tag, "image": str(found.get("Id", "")), "digests": list(found.get("RepoDigests") or ())}

    def planned(self) -> Sequence[Planned]:
        """The commands."""
        if self._build:
            steps = [*self.built(self._calls.redact(self._build))]
        else:
            steps = [Planned(action="prepare", text=f"docker pull {self._source}")]
        new = "<the new image>" if self._source == self._tag else self._source
        steps.append(Planned(action="deploy", text=f"docker tag {new} {self._tag}"))
        return (*steps, Planned(action="undo", text=f"docker tag <the image of before> {self._tag}"))

    async def prepare(self, before: Before) -> None:
        """Pull or build the new image; the tag stays where it is."""
        if self._build and self.builds is Builds.AFTER:
            return
        lasting = not self._build or self.builds is Builds.BEFORE
        await self._images.make([self._tag, self._source], self._fetch, lasting=lasting)

    async def stop(self, before: Before) -> None:
        """Nothing runs here."""

    async def deploy(self, before: Before) -> None:
        """Keep the old image under a tag of its own, then pull or build the new one and put the tag on it."""
        old = str(before.get("image") or "")
        if old:
            await self._docker.tag(old, kept_tag(old))
        if not await self._images.use([self._source]):
            await self._fetch()
        await self._docker.tag(await self._docker.image_id(self._source), self._tag)

    async def start(self, before: Before) -> None:
        """Nothing runs here."""

    async def put_back(self, before: Before) -> None:
        """Let the tag point to the old image; a tag that was not there is taken away again."""
        old = str(before.get("image") or "")
        if old:
            if not await self._docker.image_id(old):
                raise _old_is_gone(self._tag, old)
            await self._docker.tag(old, self._tag)
        elif await self._docker.image_id(self._tag):
            # Docker refuses while a container uses it; then it stays, and nothing of before is missing.
            await self._calls.run("docker", "image", "rm", "--no-prune", self._tag)

    async def _fetch(self) -> None:
        if self._build:
            what = f"Building {self._tag}"
            await self._shell.must(self._build, what, folder=self._calls.folder, code="recipe_build_failed")
        else:
            await self._docker.fetch(self._source)
        if not await self._docker.image_id(self._source):
            raise StepFailed(
                f"The image {self._source} is not there after it was {'built' if self._build else 'pulled'}.",
                hint="Let `build` make an image of exactly this name, or correct `image` of the recipe.",
                code="recipe_image_missing",
            )

    async def standing(self) -> Standing | None:
        """Nothing runs here."""
        return None

    async def log_tail(self, lines: int = 50) -> str:
        """An image has no log."""
        return ""

    async def variables(self) -> Sequence[str]:
        """The variables that the image sets itself."""
        found = await self._docker.image(self._tag) or {}
        return sorted(entry.partition("=")[0] for entry in (found.get("Config") or {}).get("Env") or ())


def _references(image: str, revision: str | None) -> tuple[str, str]:
    """The tag that is put, and where its image comes from.

    Raises:
        ConfigError: `recipe_image_tag`, a digest without a tag: there is nothing to point elsewhere.
    """
    named, _at, digest = image.partition("@")
    wanted = revision or digest
    if digest and named == repository(named):
        raise ConfigError(
            f"`image: {image}` names a digest, but no tag to put on it.",
            hint=f"Write {named}:TAG@{digest}, with the tag that the application's containers use.",
            code="recipe_image_tag",
        )
    tag = named if named != repository(named) else f"{named}:latest"
    if not wanted:
        return tag, tag
    return tag, f"{repository(named)}@{wanted}" if wanted.startswith("sha256:") else f"{repository(named)}:{wanted}"


def _old_is_gone(tag: str, image: str) -> StepFailed:
    return StepFailed(
        f"The image that {tag} pointed to is not on this machine any more.",
        detail=image,
        hint=f"Load or pull it again and tag it: `docker tag {image[:19]} {tag}`, then run the command again.",
        code="recipe_image_gone",
    )

"""Replaces a container made by `docker run` by a like one of another image; the old one is kept aside until it is wanted back.

Owns the order of commands; the options that make a container like another are found in `docker_args.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stepflow_tui.engine.application.recipes.base import Before, Planned, Standing
from stepflow_tui.engine.application.recipes.calls import Calls, write_private
from stepflow_tui.engine.application.recipes.containers import (
    AWAY,
    DENIED,
    Docker,
    environment,
    labels,
    name_of,
    runs,
    standing_of,
)
from stepflow_tui.engine.application.recipes.docker_args import Like, like, restart_option
from stepflow_tui.engine.application.recipes.preparing import Builds, Images, Preparing, in_order
from stepflow_tui.engine.application.recipes.shell import Shell
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config_application import Recipe
from stepflow_tui.engine.model.redact import Redact

OURS = "stepflow.replaces"
"""Label of a container that takes another's place: its id. Nothing without it is ever removed."""


class DockerRecipe(Preparing):
    """`kind: docker`. With `image` or `env` the container is made anew, else it is stopped and started as it is.

    `env` are the new container's variables, besides those of the old one (what a file of variables held when it was made).
    """

    def __init__(self, config: Recipe, *, folder: Path, keep: Path, redact: Redact) -> None:
        assert config.container is not None
        self._name = config.container
        self._image = config.image
        self._build = config.build
        self._variables = {k: v.get_secret_value() for k, v in config.env.items() if not k.startswith("DOCKER_")}
        self._keep = keep
        self._calls = Calls(config, folder=folder, redact=redact, denied=DENIED, away=AWAY)
        self._shell = Shell(config, keep=keep, redact=redact)
        self._shell.env = dict(self._calls.env)
        for name in self._variables:  # they are the container's; a PATH of it must not lead the tool astray
            self._calls.env.pop(name, None)
        self._docker = Docker(self._calls)
        self._images = Images(self._docker, keep)

    @property
    def name(self) -> str:
        """`docker shop`."""
        return f"docker {self._name}"

    async def look(self) -> Before:
        """Record the container; refuses one that could not be put back, or not be made anew."""
        found = await self._docker.container(self._name)
        if found is None:
            raise _not_found(self._name)
        _refuse_unusable(found)
        if self._anew:
            await self._like(found)
            if self._image and not self._build:
                await self._docker.can_be_had(self._image)
        return {"id": str(found["Id"]), "name": name_of(found), "image": str(found.get("Image", "")), "running": runs(found),
                "restart": restart_option(found)}  # fmt: skip

    def planned(self) -> Sequence[Planned]:
        """The commands; the options of the new container are found when it begins."""
        steps = [Planned(action="stop", text=f"docker stop {self._name}")]
        if not self._anew:
            start = f"docker start {self._name}"
            return (*steps, Planned(action="start", text=start), Planned(action="undo", text=start))
        if self._build:
            steps += self.built(self._calls.redact(self._build), early=bool(self._image))
        elif self._image:
            steps.append(Planned(action="prepare", text=f"docker pull {self._image}"))
        aside = f"{self._name}.stepflow-<id>"
        image = self._image or "<the same image>"
        return (
            *in_order(steps),
            Planned(action="deploy", text=f"docker rename {self._name} {aside}; docker create --name {self._name} <as before> {image}"),
            Planned(action="start", text=f"docker start {self._name}"),
            Planned(action="undo", text=f"docker rm --force {self._name}; docker rename {aside} {self._name}; docker start {self._name}"),
        )  # fmt: skip

    async def prepare(self, before: Before) -> None:
        """Pull or build the new image; containers and tags stay as they are."""
        if not self._image or (self._build and self.builds is Builds.AFTER):
            return
        lasting = not self._build or self.builds is Builds.BEFORE
        await self._images.make([self._image], self._fetch, lasting=lasting)

    async def stop(self, before: Before) -> None:
        """Stop the old container and the one that took its place; Docker must not start the old one by itself."""
        names = [str(before["id"])]
        old = await self._docker.container(str(before["id"]))
        if old is not None:
            await self._policy(old, "no")
            await self._docker.stop(old)
        new = await self._ours(before)
        if new is not None:
            await self._docker.stop(new)
            names.append(str(new["Id"]))
        await self._docker.gone(names)

    async def deploy(self, before: Before) -> None:
        """Put the old container aside and make the new one, which `start` starts."""
        if not self._anew:
            return
        if not (self._image and await self._images.use([self._image])):
            await self._fetch()
        old = await self._docker.container(str(before["id"]))
        if old is None:
            raise _old_is_gone(before)
        made = await self._like(old, str(before["restart"]))
        await self._remove_ours(before)
        if name_of(old) == before["name"]:
            await self._calls.must("docker", "rename", str(before["id"]), _aside(before), what=f"Putting the container {self._name} aside")  # fmt: skip
        await self._create(before, made)

    async def start(self, before: Before) -> None:
        """Start what stands under the name, with the restart policy of before, and see that it stays up."""
        found = await self._docker.container(str(before["name"]))
        if found is None:
            raise _not_found(str(before["name"]))
        if found["Id"] == before["id"]:
            await self._policy(found, str(before["restart"]))
        what = f"Starting the container {before['name']}"
        await self._calls.must("docker", "start", str(found["Id"]), what=what, code="recipe_start_failed")
        await self._docker.stays([str(found["Id"])])

    async def put_back(self, before: Before) -> None:
        """Remove the new container and give the old one its name again. Its volumes stay, they are the old one's too."""
        old = await self._docker.container(str(before["id"]))
        if old is None:
            raise _old_is_gone(before)
        await self._remove_ours(before)
        if name_of(old) != before["name"]:
            await self._calls.must("docker", "rename", str(before["id"]), str(before["name"]), what=f"Putting the container {self._name} back")  # fmt: skip

    async def standing(self) -> Standing | None:
        """What stands under the name."""
        found = await self._docker.container(self._name)
        return Standing(running=False, what=f"container {self._name}") if found is None else standing_of(found)

    async def log_tail(self, lines: int = 50) -> str:
        """The log of what stands under the name."""
        found = await self._docker.container(self._name)
        return "" if found is None else await self._docker.log(found, lines)

    async def variables(self) -> Sequence[str]:
        """Names of its variables."""
        found = await self._docker.container(self._name)
        return sorted(environment(found or {}))

    async def _fetch(self) -> None:
        if self._build:
            what = f"Building for the container {self._name}"
            await self._shell.must(self._build, what, folder=self._calls.folder, code="recipe_build_failed")
        elif self._image:
            await self._docker.fetch(self._image)

    @property
    def _anew(self) -> bool:
        return bool(self._image or self._variables)

    async def _like(self, old: Mapping[str, Any], restart: str | None = None) -> Like:
        image = await self._docker.image(str(old.get("Image", ""))) or {}
        policy = restart or restart_option(old)
        name, _colon, times = policy.partition(":")
        host = {**(old.get("HostConfig") or {}), "RestartPolicy": {"Name": name, "MaximumRetryCount": int(times or 0)}}
        return like({**old, "HostConfig": host}, image, self._variables)

    async def _create(self, before: Before, made: Like) -> None:
        variables, names = self._keep / f"docker-{before['name']}.env", self._keep / f"docker-{before['name']}.labels"
        lines = [f"{k}={v}" for k, v in made.variables.items() if "\n" not in v]
        marked = {**made.labels, OURS: str(before["id"])}
        await asyncio.to_thread(write_private, variables, "".join(f"{line}\n" for line in lines))
        await asyncio.to_thread(write_private, names, "".join(f"{k}={v}\n" for k, v in marked.items()))
        long = {k: v for k, v in made.variables.items() if "\n" in v}  # a file of variables can't hold line ends
        argv = [
            "docker",
            "create",
            "--name",
            str(before["name"]),
            "--env-file",
            str(variables),
            "--label-file",
            str(names),
        ]
        argv += [word for name in long for word in ("--env", name)]
        self._calls.env.update(long)
        image = self._image or str(before["image"])
        try:
            await self._calls.must(*argv, *made.options, image, *made.command, what=f"Making the container {self._name}", code="recipe_create_failed")  # fmt: skip
        finally:
            await asyncio.to_thread(variables.unlink, True)
        for words in made.networks:
            argv = ["docker", "network", "connect", *words, str(before["name"])]
            await self._calls.must(*argv, what=f"Connecting the container {self._name} to its networks")

    async def _policy(self, container: Mapping[str, Any], policy: str) -> None:
        if restart_option(container) != policy:
            argv = ("docker", "update", f"--restart={policy}", str(container["Id"]))
            await self._calls.must(*argv, what=f"Setting the restart policy of the container {name_of(container)}")

    async def _ours(self, before: Before) -> Any | None:
        """The container that took the old one's place.

        Raises:
            StepFailed: `recipe_name_taken`, somebody else's container has the name.
        """
        found = await self._docker.container(str(before["name"]))
        if found is None or found["Id"] == before["id"]:
            return None
        if labels(found).get(OURS) != before["id"]:
            raise _name_taken(str(before["name"]), str(found["Id"]))
        return found

    async def _remove_ours(self, before: Before) -> None:
        found = await self._ours(before)
        if found is not None:
            await self._calls.must(
                "docker", "rm", "--force", str(found["Id"]), what=f"Removing the new container {self._name}"
            )


def _aside(before: Before) -> str:
    return f"{before['name']}.stepflow-{str(before['id'])[:12]}"


def _refuse_unusable(found: Mapping[str, Any]) -> None:
    reason = ""
    if (found.get("HostConfig") or {}).get("AutoRemove"):
        reason = "was started with --rm: it is gone once it is stopped"
    elif "com.docker.compose.project" in labels(found):
        reason = "belongs to Docker Compose, which makes it anew by its file"
    elif "com.docker.swarm.service.id" in labels(found):
        reason = "belongs to a service of Docker Swarm, which starts it again"
    if reason:
        raise StepFailed(
            f"The container {name_of(found)} {reason}.",
            hint="Start it without --rm, or use `kind: compose` or `kind: command`.",
            code="recipe_no_way_back",
        )


def _not_found(name: str) -> StepFailed:
    return StepFailed(
        f"There is no container {name}.",
        hint="`docker ps --all` lists them; correct `container` of the recipe.",
        code="recipe_not_found",
    )


def _old_is_gone(before: Before) -> StepFailed:
    return StepFailed(
        f"The old container {before['name']} is not there any more.",
        detail=str(before["id"]),
        hint=f"Make it again from the image {before['image']}, then run the command again.",
        code="recipe_old_gone",
    )


def _name_taken(name: str, found: str) -> StepFailed:
    return StepFailed(
        f"Another container has taken the name {name}.",
        detail=found,
        hint="Rename or remove it, if it is not needed; then run the command again.",
        code="recipe_name_taken",
    )

"""Stops, deploys and starts services of Docker Compose, and starts exactly the old images again.

Compose is asked for the containers' ids only; what they are is asked of Docker, so that version 1 and 2 are handled alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stepflow_tui.engine.application.recipes.base import Before, Planned, Standing
from stepflow_tui.engine.application.recipes.calls import Calls, newest, write_private
from stepflow_tui.engine.application.recipes.containers import (
    AWAY,
    DENIED,
    Docker,
    environment,
    kept_tag,
    labels,
    name_of,
    runs,
    standing_of,
)
from stepflow_tui.engine.application.recipes.kubectl_objects import repository
from stepflow_tui.engine.application.recipes.preparing import Builds, Images, Preparing, in_order
from stepflow_tui.engine.application.recipes.shell import Shell
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config_application import Recipe
from stepflow_tui.engine.model.redact import Redact

_UNSET = re.compile(r'The \\?"?([A-Za-z_][A-Za-z0-9_]*)\\?"? variable is not set')
_LABEL = "com.docker.compose."
_SERVERS = frozenset({"postgres", "postgresql", "postgis", "pgvector", "timescaledb", "timescaledb-ha", "pgbouncer"})


class ComposeRecipe(Preparing):
    """`kind: compose`. Without `service` all services of the file."""

    def __init__(self, config: Recipe, *, folder: Path, keep: Path, redact: Redact) -> None:
        assert config.file is not None
        self._file = config.file
        self._service = config.service
        self._image = config.image
        self._build = config.build
        self._override = keep / f"compose-{config.service or 'all'}.override.json"
        self._calls = Calls(config, folder=folder, redact=redact, denied=DENIED, away=AWAY)
        self._shell = Shell(config, keep=keep, redact=redact)
        self._shell.env = self._calls.env
        self._docker = Docker(self._calls)
        self._images = Images(self._docker, keep)
        self._found: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """`compose web`."""
        return f"compose {self._service or self._file.name}"

    async def look(self) -> Before:
        """Record the containers' images and number; refuses a file that can't be read, an unknown service, unset variables."""
        place = await self._place()
        services = await self._services(place)
        if self._image and not self._service:
            raise _one_service(services)
        containers = await self._containers(place)
        if self._service is None:
            _refuse_databases(containers)
        if self._image:
            await self._docker.can_be_had(self._image)
        return {
            **place,
            "services": [self._service] if self._service else services,
            "running": any(runs(c) for c in containers),
            "containers": [
                {
                    "name": name_of(c),
                    "service": labels(c).get(f"{_LABEL}service", self._service or ""),
                    "image": str(c.get("Image", "")),
                    "reference": str((c.get("Config") or {}).get("Image", "")),
                    "running": runs(c),
                }
                for c in containers
                if labels(c).get(f"{_LABEL}oneoff", "False") != "True"
            ],
        }

    def planned(self) -> Sequence[Planned]:
        """The commands, as version 2 of Compose gets them."""
        place = self._found or {"tool": ["docker", "compose"], "files": [str(self._file)]}
        stop, up = (self._calls.shown(self._argv(place, *a)) for a in (self._stop_words(), self._up_words({})))
        steps = [Planned(action="stop", text=stop)]
        if self._build:
            steps += self.built(self._calls.redact(self._build))
        elif self._image:
            steps.append(Planned(action="prepare", text=f"docker pull {self._image}"))
        if self._image:
            text = (
                f"start it with {self._image}, whatever {self._file.name} names: write it there too, for later starts"
            )
            steps.append(Planned(action="deploy", text=text))
        return (
            *in_order(steps),
            Planned(action="start", text=up),
            Planned(action="undo", text=f"{stop}; {up}, with the images of before"),
        )

    async def prepare(self, before: Before) -> None:
        """Pull or build the new images; containers and tags stay as they are."""
        if not (self._build or self._image) or (self._build and self.builds is Builds.AFTER):
            return
        lasting = not self._build or self.builds is Builds.BEFORE
        await self._images.make(await self._tags(before), self._fetch, lasting=lasting)

    async def stop(self, before: Before) -> None:
        """Stop the services' containers; how long each may take is `stop_grace_period` of the file."""
        what = f"Stopping {self.name}"
        await self._calls.must(*self._argv(before, *self._stop_words()), what=what, code="recipe_stop_failed")
        await self._docker.gone([str(c["Id"]) for c in await self._containers(before)])

    async def deploy(self, before: Before) -> None:
        """Keep the old images under tags of their own, then build or pull the new one, if that was not done beforehand."""
        if not (self._build or self._image):
            return
        for image in {str(c["image"]) for c in before["containers"]}:
            await self._docker.tag(image, kept_tag(image))
        if not await self._images.use([self._image] if self._image else await self._tags(before)):
            await self._fetch()
        if self._image and self._service and await self._image_in_file(before) != self._image:
            await self._pin({self._service: self._image})
        else:
            self._override.unlink(missing_ok=True)  # a start after a way back must not be pinned to the old image

    async def start(self, before: Before) -> None:
        """Make and start the containers, without those they depend on, and see that they stay up."""
        argv = self._argv(before, *self._up_words(before), override=True)
        await self._calls.must(*argv, what=f"Starting {self.name}", code="recipe_start_failed")
        expected = [c for c in await self._containers(before) if _is_service(c)]
        # A service that had done its work before (a migration) ends again: it is not expected to stay.
        ran = {str(c["service"]) for c in before["containers"] if c["running"]}
        expected = [c for c in expected if labels(c).get(f"{_LABEL}service") in ran] or expected
        await self._docker.stays([str(c["Id"]) for c in expected])

    async def put_back(self, before: Before) -> None:
        """Let the tags point to the old images, and pin what was changed to exactly those."""
        pins = {}
        for container in before["containers"]:
            image, reference = str(container["image"]), str(container["reference"])
            await self._docker.tag_back(image, reference)
            pins[str(container["service"])] = image
        if not (self._build or self._image):
            return
        for image in set(pins.values()):
            await self._docker.tag(image, kept_tag(image))
        await self._pin({service: kept_tag(image) for service, image in pins.items()})

    async def standing(self) -> Standing | None:
        """The first of its containers, and how many run."""
        containers = [c for c in await self._containers(await self._place()) if _is_service(c)]
        if not containers:
            return Standing(running=False, what=self.name)
        up = [c for c in containers if runs(c)]
        one = standing_of((up or containers)[0])
        what = one.what if len(containers) == 1 else f"{self.name}, {len(up)} of {len(containers)} containers run"
        return Standing(
            running=len(up) == len(containers), what=what, version=one.version, pid=one.pid, since=one.since
        )

    async def log_tail(self, lines: int = 50) -> str:
        """The log of the container that does not run, else of the first."""
        containers = sorted((c for c in await self._containers(await self._place()) if _is_service(c)), key=runs)
        return newest(await self._docker.log(containers[0], lines), lines) if containers else ""

    async def variables(self) -> Sequence[str]:
        """Names of its containers' variables."""
        containers = await self._containers(await self._place())
        return sorted({name for c in containers for name in environment(c)})

    async def _fetch(self) -> None:
        if self._build:
            what = f"Building {self.name}"
            await self._shell.must(self._build, what, folder=self._calls.folder, code="recipe_build_failed")
        elif self._image:
            await self._docker.fetch(self._image)

    async def _tags(self, before: Before) -> list[str]:
        """The tags that a pull or a build may move."""
        if self._image and not self._build:
            return [self._image]
        named = await self._image_in_file(before) if self._service else ""
        return [self._image or "", named, *(str(c["reference"]) for c in before["containers"])]

    def _stop_words(self) -> list[str]:
        return ["stop", *([self._service] if self._service else [])]

    def _up_words(self, before: Mapping[str, Any]) -> list[str]:
        counts = Counter(str(c["service"]) for c in before.get("containers", ()) if c["running"])
        scale = [word for service, n in sorted(counts.items()) if n > 1 for word in ("--scale", f"{service}={n}")]
        return ["up", "--detach", "--no-build", *(["--no-deps"] if self._service else []), *scale,
                *([self._service] if self._service else [])]  # fmt: skip

    def _argv(self, place: Mapping[str, Any], *words: str, override: bool = False) -> tuple[str, ...]:
        """The same files, project and folder as the containers that run were made with, whatever the present folder is."""
        argv = [*place["tool"]]
        files = [*place["files"], *([str(self._override)] if override and self._override.exists() else [])]
        for file in files:
            argv += ["--file", file]
        for option in ("project-name", "project-directory", "env-file"):
            if place.get(option):
                argv += [f"--{option}", str(place[option])]
        return (*argv, *words)

    async def _image_in_file(self, place: Mapping[str, Any]) -> str:
        """The image that the file itself names by now (a switch may have written it), "" where it can't be asked."""
        output = await self._calls.run(*self._argv(place, "config", "--format", "json"))
        try:
            services = json.loads(output.text).get("services", {}) if output.ok else {}
        except (ValueError, AttributeError):
            services = {}
        return str((services.get(self._service) or {}).get("image") or "")

    async def _pin(self, images: Mapping[str, str]) -> None:
        """JSON is YAML. `pull_policy` is unknown to version 1, which pulls nothing that is here."""
        content: dict[str, Any] = {"services": {service: {"image": image} for service, image in sorted(images.items())}}
        if (self._found or await self._place())["tool"] == ["docker", "compose"]:
            for service in content["services"].values():
                service["pull_policy"] = "never"
        else:
            content = {"version": "3", **content}
        await asyncio.to_thread(write_private, self._override, json.dumps(content, indent=1))

    async def _place(self) -> dict[str, Any]:
        """Tool, files and project, found once."""
        if self._found is None:
            if not self._file.is_file():
                raise _no_file(self._file)
            place: dict[str, Any] = {"tool": await self._tool(), "files": [str(self._file), *_beside(self._file)]}
            if place["tool"] == ["docker", "compose"]:
                place.update(await self._project())
            self._found = {**place, **(await self._made_with(place))}
        return self._found

    async def _tool(self) -> list[str]:
        output = await self._calls.run("docker", "compose", "version")
        if output.ok:
            return ["docker", "compose"]
        with contextlib.suppress(StepFailed):  # not there either: told below, with what version 2 said
            if (await self._calls.run("docker-compose", "version")).ok:
                return ["docker-compose"]
        raise _no_compose(output.said)

    async def _project(self) -> dict[str, str]:
        """The project's name, where a project of another name was made of this file."""
        output = await self._calls.run("docker", "compose", "ls", "--all", "--format", "json")
        try:
            projects = json.loads(output.text) if output.ok else []
        except ValueError:
            projects = []
        names = [str(p["Name"]) for p in projects or () if str(self._file) in str(p.get("ConfigFiles", "")).split(",")]
        return {"project-name": names[0]} if len(names) == 1 else {}

    async def _made_with(self, place: Mapping[str, Any]) -> dict[str, Any]:
        """What the present containers were made with: files that are merged, the folder, the file of variables."""
        containers = await self._containers(place)
        made = labels(containers[0]) if containers else {}
        files = [
            f
            for f in made.get(f"{_LABEL}project.config_files", "").split(",")
            if f.startswith("/") and Path(f).is_file()
        ]
        if str(self._file) not in files:
            return {}
        found = {
            "files": [f for f in files if f != str(self._override)],
            "project-name": made.get(f"{_LABEL}project", ""),
        }
        variables = made.get(f"{_LABEL}project.environment_file", "")
        directory = made.get(f"{_LABEL}project.working_dir", "")
        return {
            **found,
            **({"project-directory": directory} if directory and directory != str(self._file.parent) else {}),
            **({"env-file": variables} if variables and "," not in variables else {}),
        }

    async def _services(self, place: Mapping[str, Any]) -> list[str]:
        argv = self._argv(place, "config", "--services")
        output = await self._calls.run(*argv)
        if not output.ok:
            hint = "Correct the file, or the variables that it needs."
            raise self._calls.failed(argv, f"Reading {self._file}", output, hint=hint, code="recipe_compose_file")
        unset = sorted(set(_UNSET.findall(output.said)))
        if unset:
            raise _unset(self._file, unset)
        services = output.text.split()
        if self._service and services and self._service not in services:
            raise _no_service(self._file, self._service, services)
        return services

    async def _containers(self, place: Mapping[str, Any]) -> list[Any]:
        words = ["ps", "--all", "--quiet", *([self._service] if self._service else [])]
        argv = self._argv(place, *words)
        ids = (await self._calls.must(*argv, what=f"Asking for the containers of {self.name}", ask=True)).split()
        return await self._docker.containers(ids)


def _is_service(container: Mapping[str, Any]) -> bool:
    return labels(container).get(f"{_LABEL}oneoff", "False") != "True"


def _refuse_databases(containers: Sequence[Mapping[str, Any]]) -> None:
    """Stopping a whole project would take the database down that the data is on its way to.

    Raises:
        StepFailed: `recipe_compose_service`.
    """
    images = {labels(c).get(f"{_LABEL}service", name_of(c)): str((c.get("Config") or {}).get("Image", "")) for c in containers if runs(c)}  # fmt: skip
    databases = sorted(n for n, i in images.items() if repository(i).rpartition("/")[2] in _SERVERS)
    if databases:
        raise StepFailed(
            f"The Compose project runs a PostgreSQL server too ({', '.join(databases)}), which would be stopped with the application.",
            hint="Name the application's service: add service: … to the recipe, and one recipe more for each further service.",
            code="recipe_compose_service",
        )


def _beside(file: Path) -> list[str]:
    """The override file that Compose reads by itself as long as no file is named."""
    if file.stem not in ("compose", "docker-compose"):
        return []
    names = (f"{file.stem}.override{suffix}" for suffix in (".yml", ".yaml"))
    return [str(file.with_name(name)) for name in names if file.with_name(name).is_file()][:1]


def _no_file(file: Path) -> StepFailed:
    return StepFailed(
        f"There is no Compose file {file}.",
        hint="Correct `file` of the recipe; it is looked for in the config's folder.",
        code="recipe_compose_file",
    )


def _no_compose(said: str) -> StepFailed:
    return StepFailed(
        "Neither `docker compose` nor `docker-compose` can be run here.",
        detail=said or "docker compose version: it printed nothing",
        hint="Install the Compose plugin of Docker (docker-compose-plugin), then run the command again.",
        code="recipe_tool_missing",
    )


def _one_service(services: Sequence[str]) -> StepFailed:
    return StepFailed(
        "A compose recipe with `image` needs the service that gets it.",
        detail=f"services: {', '.join(services)}",
        hint="Add service: … to the recipe.",
        code="recipe_compose_service",
    )


def _no_service(file: Path, service: str, services: Sequence[str]) -> StepFailed:
    return StepFailed(
        f"{file} has no service {service}.",
        detail=f"its services: {', '.join(services)}",
        hint="Correct `service` of the recipe; a service of a profile is named by COMPOSE_PROFILES in its `env`.",
        code="recipe_compose_service",
    )


def _unset(file: Path, names: Sequence[str]) -> StepFailed:
    return StepFailed(
        f"{file} uses variables that are not set here: the application would start with empty settings.",
        detail=", ".join(names),
        hint="Write them into `.env` beside the file, into `env` of the recipe, or give them a default: ${NAME:-}.",
        code="recipe_variables_unset",
    )

"""What the recipes of Docker share: containers and images, looked up, fetched, kept and named again.

Owns single calls of `docker`; the order of things is each recipe's own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Any

from stepflow_tui.engine.application.recipes.base import Standing
from stepflow_tui.engine.application.recipes.calls import Calls, hiding, merged, newest, pairs, until
from stepflow_tui.engine.errors import StepFailed

SETTLE_SECONDS = 1.0
"""How long a container has to stay up before it is believed."""
KEPT = "stepflow-kept"
"""Repository of the tags that keep old images from being pruned."""
DENIED = (
    "Start stepflow as a user of the group `docker` (or with sudo, or set DOCKER_HOST to a server this user may use), "
    "and log in where the registry asks for it (`docker login`); then run the command again."
)
AWAY = "Start the Docker service, or set DOCKER_HOST to where it is: `docker info` must answer."
_UNKNOWN = re.compile(r"pull access denied|manifest unknown|not found|does not exist", re.IGNORECASE)
_MISSING = re.compile(r"no such (container|image|object)", re.IGNORECASE)


class Docker:
    """Single calls of `docker`."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def containers(self, names: Sequence[str]) -> list[Any]:
        """The containers' descriptions; one that isn't there is left out."""
        return await self._inspect("container", *names) if names else []

    async def container(self, name: str) -> Any | None:
        """A container's description, None where there is none."""
        found = await self._inspect("container", name)
        return found[0] if found else None

    async def image(self, reference: str) -> Any | None:
        """An image's description, None where this machine doesn't have it."""
        found = await self._inspect("image", reference)
        return found[0] if found else None

    async def image_id(self, reference: str) -> str:
        """An image's id, "" where this machine doesn't have it."""
        return str((await self.image(reference) or {}).get("Id", ""))

    async def fetch(self, reference: str) -> str:
        """Pull an image. One that no registry has was built here and counts as it is; a digest that is here needs no pull.

        A registry that gave no answer is no such proof: what is here may be an older version of the tag.

        Returns:
            Its id.

        Raises:
            StepFailed: `recipe_image_missing`.
        """
        here = await self.image_id(reference)
        if here and pinned(reference):
            return here
        argv = ("docker", "pull", reference)
        output = await self.calls.run(*argv, seconds=self.calls.seconds)
        if not output.ok and not (here and _UNKNOWN.search(output.said)):
            hint = "Correct `image`, push the image, or log in: `docker login`. An image given by its digest is not pulled."
            raise self.calls.failed(
                argv, f"Pulling the image {reference}", output, hint=hint, code="recipe_image_missing"
            )
        return await self.image_id(reference) or here

    async def can_be_had(self, reference: str) -> None:
        """See that an image is here or in its registry. Changes nothing.

        Raises:
            StepFailed: `recipe_image_missing`.
        """
        if not await self.image_id(reference):
            hint = "Correct `image` of the recipe, push the image, or log in: `docker login`."
            what = f"Looking for the image {reference}, which is not on this machine,"
            # The server takes a registry of its own machine without TLS, this question has to be told so.
            plain = ("--insecure",) if reference.startswith(("localhost:", "localhost/", "127.")) else ()
            await self.calls.must("docker", "manifest", "inspect", *plain, reference, what=what, hint=hint, code="recipe_image_missing", ask=True)  # fmt: skip

    async def tag(self, image: str, reference: str) -> None:
        """Let a tag point to an image, if it doesn't yet."""
        if await self.image_id(reference) != image:
            await self.calls.must("docker", "tag", image, reference, what=f"Tagging {reference}")

    async def tag_back(self, image: str, reference: str) -> None:
        """Let a tag point to where it pointed; a digest and an id can't point elsewhere."""
        if image and reference and not pinned(reference):
            await self.tag(image, reference)

    async def stop(self, container: Mapping[str, Any]) -> None:
        """Stop a container if it runs; how long it may take to end is its own setting."""
        state = container.get("State") or {}
        if state.get("Running") or state.get("Restarting") or state.get("Paused"):
            await self.calls.must("docker", "stop", str(container["Id"]), what=f"Stopping the container {name_of(container)}", code="recipe_stop_failed")  # fmt: skip

    async def gone(self, names: Sequence[str]) -> None:
        """See that none of the containers runs.

        Raises:
            StepFailed: `recipe_not_stopped`.
        """

        async def none_runs() -> bool:
            return not any(runs(c) for c in await self.containers(names))

        if not await until(none_runs, min(30.0, self.calls.seconds)):
            running = [name_of(c) for c in await self.containers(names) if runs(c)]
            raise StepFailed(
                f"The container {', '.join(running)} still runs.",
                hint="Something starts it again: find it with `docker events`, then `stepflow run` again.",
                code="recipe_not_stopped",
            )

    async def stays(self, names: Sequence[str]) -> None:
        """See that the containers run and keep running.

        Raises:
            StepFailed: `recipe_start_failed`.
        """
        end = monotonic() + SETTLE_SECONDS
        first = {c["Id"]: int(c.get("RestartCount") or 0) for c in await self.containers(names)}
        if not first:
            raise _not_started(", ".join(names) or "of the application", "there is no such container")
        while True:
            found = await self.containers(names)
            for container in found:
                if not runs(container) or int(container.get("RestartCount") or 0) > first.get(container["Id"], 0):
                    raise _not_started(name_of(container), _ended(container))
            if monotonic() >= end and len(found) == len(first):
                return
            await asyncio.sleep(0.2)

    async def log(self, container: Mapping[str, Any], lines: int) -> str:
        """The newest lines of a container's log, without its own secrets."""
        text = await merged(self.calls, "docker", "logs", "--tail", str(lines), str(container["Id"]))
        return newest(hiding(self.calls.redact, environment(container))(text), lines)

    async def _inspect(self, kind: str, *names: str) -> list[Any]:
        verb = ("docker", "image", "inspect") if kind == "image" else ("docker", "inspect", "--type", kind)
        output = await self.calls.run(*verb, *names)
        what = f"Asking for the {kind} {', '.join(names)}"
        if not output.ok and not _MISSING.search(output.said):
            raise self.calls.failed((*verb, *names), what, output, code="recipe_failed")
        found = self.calls.json(output.text or "[]", (*verb, *names), what)
        return [one for one in found if isinstance(one, dict) and one.get("Id")] if isinstance(found, list) else []


def pinned(reference: str) -> bool:
    """Whether a reference means one image for ever: a digest, or an image's id."""
    return "@" in reference or reference.startswith("sha256:")


def kept_tag(image: str) -> str:
    """The tag that keeps an image."""
    return f"{KEPT}:{image.removeprefix('sha256:')[:12]}"


def name_of(container: Mapping[str, Any]) -> str:
    """A container's name."""
    return str(container.get("Name") or container.get("Id", "")).removeprefix("/")


def runs(container: Mapping[str, Any]) -> bool:
    """Whether it runs; one that is being restarted after it died doesn't."""
    state = container.get("State") or {}
    return bool(state.get("Running")) and not state.get("Restarting")


def labels(container: Mapping[str, Any]) -> dict[str, str]:
    """A container's labels."""
    return dict((container.get("Config") or {}).get("Labels") or {})


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """A container's variables."""
    return pairs((container.get("Config") or {}).get("Env") or ())


def standing_of(container: Mapping[str, Any]) -> Standing:
    """What a container is now."""
    state = container.get("State") or {}
    config = container.get("Config") or {}
    return Standing(
        running=runs(container),
        what=f"container {name_of(container)} ({str(container['Id'])[:12]})",
        version=f"{config.get('Image', '')} ({str(container.get('Image', '')).removeprefix('sha256:')[:12]})",
        pid=int(state.get("Pid") or 0) or None,
        since=_seconds(state.get("StartedAt")) if runs(container) else None,
    )


def _seconds(text: Any) -> float | None:
    """Docker writes nine digits of a second, Python reads six."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:\d\d)", str(text))
    if match is None or match[1].startswith("0001"):
        return None
    return datetime.fromisoformat(f"{match[1]}{match[2] or ''}{match[3]}").timestamp()


def _ended(container: Mapping[str, Any]) -> str:
    state = container.get("State") or {}
    words = [f"{state.get('Status', 'not running')}, exit status {state.get('ExitCode')}"]
    if state.get("Error"):
        words.append(str(state["Error"]))
    if state.get("OOMKilled"):
        words.append("ended for want of memory")
    if container.get("RestartCount"):
        words.append(f"restarted {container['RestartCount']} times")
    return ", ".join(words)


def _not_started(name: str, detail: str) -> StepFailed:
    return StepFailed(
        f"The container {name} did not stay up.",
        detail=detail,
        hint=f"Its log tells why: `docker logs --tail 50 {name}`.",
        code="recipe_start_failed",
    )

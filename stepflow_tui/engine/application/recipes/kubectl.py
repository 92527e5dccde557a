"""Scales a deployment of Kubernetes to nothing and back, sets its image, and undoes a rollout.

Owns the order of commands; what the cluster's objects tell is read in `kubectl_objects.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepflow_tui.engine.application.recipes.base import Before, Planned, Standing
from stepflow_tui.engine.application.recipes.calls import Calls, hiding, merged, newest, until
from stepflow_tui.engine.application.recipes.kubectl_objects import (
    Deployment,
    Trouble,
    containers_for,
    deployment_name,
    environment_of,
    pods_of,
    read_deployment,
    scaler_of,
    standing_of,
    troubles,
    worst,
)
from stepflow_tui.engine.application.recipes.notes import Notes
from stepflow_tui.engine.application.recipes.preparing import Builds, Preparing, in_order
from stepflow_tui.engine.application.recipes.shell import Shell
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config_application import Recipe
from stepflow_tui.engine.model.redact import Redact

POLL_SECONDS = 1.0


class KubectlRecipe(Preparing):
    """`kind: kubectl`. Context and namespace are found once and then given with every command."""

    def __init__(self, config: Recipe, *, folder: Path, keep: Path, redact: Redact) -> None:
        assert config.deployment is not None
        self._name = deployment_name(config.deployment)
        self._image = config.image
        self._build = config.build
        self._context = config.context
        self._namespace = config.namespace
        self._calls = Calls(config, folder=folder, redact=redact, denied=_DENIED, away=_AWAY)
        self._shell = Shell(config, keep=keep, redact=redact)
        self._shell.env = self._calls.env
        self._notes = Notes(keep, "prepared.json")

    @property
    def name(self) -> str:
        """`kubectl shop`."""
        return f"kubectl {self._name}"

    async def look(self) -> Before:
        """Record replicas, revision, images and where it is; refuses what this user may not do or what would wake it."""
        place = await self._place()
        deployment = read_deployment(await self._get(place))
        _refuse_paused(deployment)
        await self._may(place, "patch", f"deployments.apps/{self._name}", "--subresource=scale")
        if self._image:
            await self._may(place, "patch", f"deployments.apps/{self._name}")
            containers_for(deployment, self._image)
        return {
            **place,
            "replicas": deployment.replicas,
            "running": deployment.ready > 0,
            "revision": deployment.revision,
            "images": dict(deployment.images),
            "template": deployment.template,
            "selector": deployment.selector,
            "scaler": await self._scaler(place),
        }

    def planned(self) -> Sequence[Planned]:
        """The commands, with the number of replicas found when it begins."""
        place = _flags({"context": self._context or "", "namespace": self._namespace or ""})
        down = self._calls.shown(["kubectl", "scale", self._target, "--replicas=0", *place])
        up = f"kubectl scale {self._target} --replicas=<as before>, kubectl rollout status {self._target}"
        steps = [Planned(action="stop", text=down)]
        if self._build:
            steps += self.built(self._calls.redact(self._build), early=bool(self._image))
        if self._image:
            steps.append(Planned(action="deploy", text=f"kubectl set image {self._target} <container>={self._image}"))
        undo = f"kubectl rollout undo {self._target} --to-revision=<as before>; " if self._changes else ""
        return (*in_order(steps), Planned(action="start", text=up), Planned(action="undo", text=f"{down}; {undo}{up}"))

    async def prepare(self, before: Before) -> None:
        """Build an image of a name that no pod uses; one that is used would be taken by the next pod that starts."""
        if not self._build or self.builds is Builds.AFTER or not self._new_name(before):
            return
        self._notes.set(built="")
        await self._make()
        if self.builds is Builds.BEFORE:
            self._notes.set(built=self._image)

    async def stop(self, before: Before) -> None:
        """Scale to nothing (which also puts an autoscaler to rest), and wait until no pod is left."""
        await self._do(before, "scale", self._target, "--replicas=0", what=f"Scaling {self._target} to 0")
        if not await until(lambda: self._gone(before), self._calls.seconds, POLL_SECONDS):
            raise _not_stopped(self._target, await self._pods(before))

    async def deploy(self, before: Before) -> None:
        """Set the image of the containers that run the application; pods are made by `start`."""
        if self._build and not (self._image and self._notes.read().get("built") == self._image):
            await self._make()
        if self._image:
            names = containers_for(read_deployment(await self._get(before)), self._image)
            images = [f"{name}={self._image}" for name in names]
            await self._do(before, "set", "image", self._target, *images, what=f"Setting the image of {self._target}")

    async def start(self, before: Before) -> None:
        """Scale back and wait for the rollout; a pod that can't start ends the wait at once."""
        replicas = max(1, int(before.get("replicas") or 0))
        await self._do(
            before, "scale", self._target, f"--replicas={replicas}", what=f"Scaling {self._target} to {replicas}"
        )
        rollout = asyncio.create_task(self._rollout(before))
        watching = asyncio.create_task(self._hopeless(before))
        try:
            await asyncio.wait({rollout, watching}, return_when=asyncio.FIRST_COMPLETED)
            if rollout.done():
                await rollout
            else:
                raise _not_started(self._target, await watching)
        finally:
            for task in (rollout, watching):
                task.cancel()
            await asyncio.gather(rollout, watching, return_exceptions=True)

    async def put_back(self, before: Before) -> None:
        """Roll back to the recorded revision; if it is not kept any more, at least to the recorded images.

        Undoing gives the old template a new number, so that it has been done is told by the template; one that still has
        its old number is skipped by kubectl itself.
        """
        stands = read_deployment(await self._get(before))
        same = stands.template == before.get("template")
        if same and (not self._changes or stands.revision != before.get("revision")):
            return
        argv = self._argv(before, "rollout", "undo", self._target, f"--to-revision={before.get('revision')}")
        undone = await self._calls.run(*argv, seconds=self._calls.seconds)
        if undone.ok and await until(lambda: self._as_before(before), 10.0, POLL_SECONDS):
            return
        images = [f"{name}={image}" for name, image in dict(before.get("images") or {}).items()]
        what = f"Putting the images of {self._target} back (revision {before.get('revision')} could not be restored)"
        await self._do(before, "set", "image", self._target, *images, what=what)

    async def standing(self) -> Standing | None:
        """Ready pods and images."""
        place = await self._place()
        return standing_of(read_deployment(await self._get(place)), place["context"], place["namespace"])

    async def log_tail(self, lines: int = 50) -> str:
        """The log of the pod that fails, of its last life if it died; its reason where it never lived."""
        place = await self._place()
        found = await self._get(place)
        deployment = read_deployment(found)
        trouble = worst(await self._pods({**place, "selector": deployment.selector}))
        if trouble is None:
            return ""
        argv = ["logs", trouble.pod, "--container", trouble.container, f"--tail={lines}"]
        text = ""
        if trouble.previous:
            output = await self._calls.run(*self._argv(place, *argv, "--previous"))
            text = output.text if output.ok else ""
        text = text or await merged(self._calls, *self._argv(place, *argv))
        reason = f"{trouble.text}\n" if trouble.failing else ""
        return reason + newest(hiding(self._calls.redact, environment_of(found))(text), lines - bool(reason))

    async def variables(self) -> Sequence[str]:
        """Names of its containers' `env`, and the maps and secrets that `envFrom` takes whole."""
        found = await self._get(await self._place())
        whole = [
            f"{kind} {ref[key].get('name')} (all of it)"
            for container in found["spec"]["template"]["spec"].get("containers", ())
            for ref in container.get("envFrom") or ()
            for key, kind in (("configMapRef", "configMap"), ("secretRef", "secret"))
            if key in ref
        ]
        return sorted({*environment_of(found), *whole})

    async def _make(self) -> None:
        if self._build:
            what = f"Building for {self._target}"
            await self._shell.must(self._build, what, folder=self._calls.folder, code="recipe_build_failed")

    def _new_name(self, before: Before) -> bool:
        return bool(self._image) and self._image not in dict(before.get("images") or {}).values()

    @property
    def _target(self) -> str:
        return f"deployment/{self._name}"

    @property
    def _changes(self) -> bool:
        return bool(self._image or self._build)

    def _argv(self, place: Before, *argv: str) -> tuple[str, ...]:
        return ("kubectl", *argv, *_flags(place))

    async def _do(self, place: Before, *argv: str, what: str) -> None:
        await self._calls.must(*self._argv(place, *argv), what=what)

    async def _place(self) -> dict[str, str]:
        """Where the deployment is; asked once, so that a context changed meanwhile doesn't lead elsewhere."""
        if self._context is None:
            output = await self._calls.run("kubectl", "config", "current-context")
            self._context = output.text.strip() if output.ok else ""
        if self._namespace is None:
            argv = ["kubectl", "config", "view", "--minify", "-o", "jsonpath={..namespace}"]
            output = await self._calls.run(*argv, *_flags({"context": self._context}))
            self._namespace = (output.text.strip() if output.ok else "") or "default"
        return {"context": self._context, "namespace": self._namespace}

    async def _get(self, place: Before) -> Any:
        argv = self._argv(place, "get", "deployment", self._name, "-o", "json")
        output = await self._calls.run(*argv)
        if not output.ok and "NotFound" in output.said:
            raise _not_found(self._name, place)
        return await self._calls.data(*argv, what=f"Asking for {self._target}")

    async def _may(self, place: Before, *what: str) -> None:
        """Only a clear `no` counts: some clusters don't answer such questions."""
        output = await self._calls.run(*self._argv(place, "auth", "can-i", *what))
        if not output.ok and output.text.strip().startswith("no"):
            raise StepFailed(
                f"This user may not {what[0]} {' '.join(what[1:])} in the namespace {place['namespace']}.",
                detail=output.said,
                hint=_DENIED,
                code="recipe_permission",
            )

    async def _scaler(self, place: Before) -> str:
        """The autoscaler's name. An ordinary one rests while replicas are 0; one of KEDA's would wake the deployment."""
        output = await self._calls.run(*self._argv(place, "get", "hpa", "-o", "json"))
        name, keda = scaler_of(output.text, self._name) if output.ok else ("", "")
        if keda:
            raise StepFailed(
                f"KEDA's ScaledObject {keda} would start {self._target} again as soon as it is stopped.",
                detail=f"it owns the autoscaler {name}",
                hint=f'Pause it: `kubectl annotate scaledobject {keda} autoscaling.keda.sh/paused="true"`; remove that afterwards.',
                code="recipe_autoscaler",
            )
        return name

    async def _pods(self, before: Before) -> list[Any]:
        argv = self._argv(before, "get", "pods", "--selector", str(before.get("selector")), "-o", "json")
        return pods_of(await self._calls.data(*argv, what=f"Asking for the pods of {self._target}"), self._name)

    async def _gone(self, before: Before) -> bool:
        return not await self._pods(before)

    async def _as_before(self, before: Before) -> bool:
        return bool(read_deployment(await self._get(before)).template == before.get("template"))

    async def _rollout(self, before: Before) -> None:
        limit = f"--timeout={self._calls.seconds:.0f}s"
        argv = self._argv(before, "rollout", "status", self._target, limit)
        output = await self._calls.run(*argv, seconds=self._calls.seconds + 10)
        if not output.ok:
            trouble: Trouble | None = None
            with contextlib.suppress(StepFailed):  # the rollout's own words are told in any case
                trouble = worst(await self._pods(before))
            error = self._calls.failed(argv, f"Starting {self._target}", output, code="recipe_start_failed")
            if trouble is not None and trouble.failing:
                error.detail = f"{error.detail}\n{trouble.text}"
            raise error

    async def _hopeless(self, before: Before) -> Trouble:
        """The first pod of the newest template that can't start by itself."""
        while True:
            with contextlib.suppress(
                StepFailed
            ):  # a question that failed once is asked again, the rollout has its own end
                for trouble in troubles(await self._pods(before)):
                    if trouble.hopeless:
                        return trouble
            await asyncio.sleep(POLL_SECONDS)


_DENIED = (
    "Use a context whose user may get, patch and scale deployments and read pods and their logs "
    "(`kubectl auth can-i --list`), then run the command again."
)
_AWAY = "Check the cluster and `context` of the recipe: `kubectl config get-contexts`, `kubectl cluster-info`."


def _flags(place: Before) -> list[str]:
    return [f"--{name}={place[name]}" for name in ("context", "namespace") if place.get(name)]


def _refuse_paused(deployment: Deployment) -> None:
    if deployment.paused:
        raise StepFailed(
            f"The deployment {deployment.name} is paused: a rollout would not begin.",
            hint=f"`kubectl rollout resume deployment/{deployment.name}`, then run the command again.",
            code="recipe_paused",
        )


def _not_found(name: str, place: Before) -> StepFailed:
    return StepFailed(
        f"There is no deployment {name} in the namespace {place['namespace']}.",
        detail=f"context {place['context'] or 'of this machine'}",
        hint="`kubectl get deployments --all-namespaces` lists them; correct `deployment`, `namespace` or `context`.",
        code="recipe_not_found",
    )


def _not_stopped(target: str, pods: Sequence[Any]) -> StepFailed:
    return StepFailed(
        f"Pods of {target} are still there.",
        detail=", ".join(str(p["metadata"].get("name")) for p in pods),
        hint="`kubectl describe pod` tells what keeps them; what scales the deployment up again (GitOps, an autoscaler) "
        "has to be paused. Then `stepflow run` again.",
        code="recipe_not_stopped",
    )


def _not_started(target: str, trouble: Trouble) -> StepFailed:
    return StepFailed(
        f"{target} did not start.",
        detail=trouble.text,
        hint=f"`kubectl describe pod {trouble.pod}` and its log tell why.",
        code="recipe_start_failed",
    )

"""What the cluster's objects tell: deployments, pods, autoscalers. Reads only."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stepflow_tui.engine.application.recipes.base import Standing
from stepflow_tui.engine.errors import ConfigError, StepFailed

REVISION = "deployment.kubernetes.io/revision"
_NAME = re.compile(r"(?:(?:deployments?|deploy)(?:\.apps)?/)?(?P<name>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)")
_HOPELESS = frozenset(
    {"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError",
     "RunContainerError"}
)  # fmt: skip
_CRASHES = 2
"""Crashes after which a container is given up: the first may be a database that was not ready yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What is recorded of a deployment. `template`: a digest of its pods' template; `images`: by container."""

    name: str
    replicas: int
    ready: int
    revision: str
    paused: bool
    template: str
    selector: str
    images: Mapping[str, str]
    since: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """How a pod's container is. `previous`: the log of its last life tells more than that of the present one."""

    pod: str
    container: str
    failing: bool
    hopeless: bool
    previous: bool
    text: str
    begun: str


def deployment_name(given: str) -> str:
    """`shop` of `shop` and `deployment/shop`.

    Raises:
        ConfigError: `recipe_deployment_name`.
    """
    match = _NAME.fullmatch(given)
    if match is None:
        raise ConfigError(
            f"`deployment: {given}` is no name of a deployment.",
            hint="Write the name that `kubectl get deployments` shows; other kinds can be handled by `kind: command`.",
            code="recipe_deployment_name",
        )
    return match["name"]


def read_deployment(found: Any) -> Deployment:
    """Read `kubectl get deployment -o json`.

    Raises:
        StepFailed: `recipe_answer`, it is something else.
    """
    try:
        spec, meta, status = found["spec"], found["metadata"], found.get("status") or {}
        pods = spec["template"]["spec"]
        containers = [*(pods.get("initContainers") or ()), *pods["containers"]]
        return Deployment(
            name=meta["name"],
            replicas=int(spec.get("replicas", 1)),
            ready=int(status.get("readyReplicas") or 0),
            revision=str((meta.get("annotations") or {}).get(REVISION, "")),
            paused=bool(spec.get("paused")),
            template=hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest(),
            selector=_selector(spec["selector"]),
            images={c["name"]: c["image"] for c in containers},
            since=_available_since(status),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StepFailed(
            "kubectl's answer is no deployment.",
            detail=f"{type(error).__name__}: {error}",
            hint="Look at `kubectl get deployment NAME -o json`.",
            code="recipe_answer",
        ) from error


def containers_for(deployment: Deployment, image: str) -> list[str]:
    """The containers that get the image: those with the same repository, or the only one.

    Raises:
        StepFailed: `recipe_container_unclear`.
    """
    same = [name for name, old in deployment.images.items() if repository(old) == repository(image)]
    if same:
        return same
    if len(deployment.images) == 1:
        return list(deployment.images)
    listed = ", ".join(f"{name} ({old})" for name, old in deployment.images.items())
    raise StepFailed(
        f"Which container of the deployment {deployment.name} gets the image {image} is not clear.",
        detail=listed,
        hint="Name an image of the same repository as the application's container, or make the change by `kind: command`.",
        code="recipe_container_unclear",
    )


def repository(image: str) -> str:
    """An image's name without tag and digest."""
    name = image.partition("@")[0]
    slash = name.rfind("/")
    colon = name.rfind(":")
    return name[:colon] if colon > slash else name


def pods_of(found: Any, deployment: str) -> list[Any]:
    """The deployment's own pods that are not over; others may carry the same labels."""
    return [
        pod
        for pod in (found or {}).get("items", ())
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed") and _belongs(pod, deployment)
    ]


def troubles(pods: Sequence[Any]) -> Iterator[Trouble]:
    """How each container of each pod is."""
    for pod in pods:
        status = pod.get("status") or {}
        for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            yield _trouble(pod, container)


def worst(pods: Sequence[Any]) -> Trouble | None:
    """The failing container of the newest pod, else any of the newest pod."""
    every = sorted(troubles(pods), key=lambda t: (t.failing, t.begun, t.previous))
    return every[-1] if every else None


def scaler_of(text: str, deployment: str) -> tuple[str, str]:
    """Name of the deployment's autoscaler, and of the ScaledObject that owns it, "" where there is none."""
    try:
        items = json.loads(text).get("items", ())
    except (ValueError, AttributeError):
        return "", ""
    for item in items:
        target = (item.get("spec") or {}).get("scaleTargetRef") or {}
        if target.get("kind") == "Deployment" and target.get("name") == deployment:
            owners = item["metadata"].get("ownerReferences") or ()
            keda = next((str(o["name"]) for o in owners if o.get("kind") == "ScaledObject"), "")
            return str(item["metadata"]["name"]), keda
    return "", ""


def environment_of(found: Any) -> dict[str, str]:
    """The variables of its containers; those that come from secrets and fields without their values."""
    containers = found["spec"]["template"]["spec"].get("containers", ())
    return {e["name"]: str(e.get("value") or "") for c in containers for e in c.get("env") or ()}


def standing_of(deployment: Deployment, context: str, namespace: str) -> Standing:
    """What the deployment is now."""
    where = f"{context}, {namespace}" if context else namespace
    return Standing(
        running=deployment.ready > 0,
        what=f"deployment {deployment.name} ({where}), {deployment.ready} of {deployment.replicas} pods ready",
        version=", ".join(deployment.images.values()),
        since=deployment.since if deployment.ready else None,
    )


def _trouble(pod: Any, container: Any) -> Trouble:
    state, last = container.get("state") or {}, container.get("lastState") or {}
    waiting, over = state.get("waiting") or {}, state.get("terminated") or {}
    reason = str(waiting.get("reason") or over.get("reason") or "")
    crashes = int(container.get("restartCount") or 0)
    died = bool(over) and over.get("exitCode") != 0
    crashing = reason == "CrashLoopBackOff" or died or (crashes > 0 and not container.get("ready"))
    name, pod_name = str(container.get("name")), str(pod["metadata"].get("name"))
    return Trouble(
        pod=pod_name,
        container=name,
        failing=crashing or reason in _HOPELESS or reason == "ErrImagePull",
        hopeless=reason in _HOPELESS or (crashing and crashes >= _CRASHES),
        previous=crashes > 0 and not over and bool(last.get("terminated")),
        text=_words(pod_name, name, reason, waiting, over or last.get("terminated") or {}, crashes),
        begun=str(pod["metadata"].get("creationTimestamp") or ""),
    )


def _words(pod: str, container: str, reason: str, waiting: Any, over: Any, crashes: int) -> str:
    parts = [f"pod {pod}, container {container}: {reason or 'running'}"]
    if waiting.get("message"):
        parts.append(str(waiting["message"]))
    if over:
        parts.append(f"ended with exit status {over.get('exitCode')}")
    if crashes:
        parts.append(f"restarted {crashes} times")
    return ", ".join(parts)


def _belongs(pod: Any, deployment: str) -> bool:
    owners = [o for o in pod["metadata"].get("ownerReferences") or () if o.get("kind") == "ReplicaSet"]
    return not owners or any(str(o.get("name")).rpartition("-")[0] == deployment for o in owners)


def _selector(selector: Any) -> str:
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or ():
        key, operator, values = rule["key"], rule["operator"], ",".join(rule.get("values") or ())
        parts.append(
            {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}.get(operator, f"!{key}")
        )
    return ",".join(parts)


def _available_since(status: Any) -> float | None:
    for condition in status.get("conditions") or ():
        if (
            condition.get("type") == "Available"
            and condition.get("status") == "True"
            and condition.get("lastTransitionTime")
        ):
            return datetime.fromisoformat(condition["lastTransitionTime"]).timestamp()
    return None

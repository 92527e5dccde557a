"""kubectl recipes, against a stand-in that records every command line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application.recipes import kubectl
from stepflow_tui.engine.application.recipes.kubectl_objects import deployment_name, read_deployment, repository
from stepflow_tui.engine.errors import ConfigError, StepFailed
from tests.stand_in_kit import SECRET, back, forward, recipe
from tests.stand_ins import StandIns, kubectl_state

NEW = "registry.example.com/shop:2"
PLACE = "--context=prod-cluster --namespace=shop-ns"
DOWN = f"kubectl scale deployment/shop --replicas=0 {PLACE}"
UP = f"kubectl scale deployment/shop --replicas=3 {PLACE}"
STATUS = f"kubectl rollout status deployment/shop --timeout=300s {PLACE}"
ACTIONS = ("scale", "set", "rollout")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns(tmp_path / "tools", "kubectl")
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.setattr(kubectl, "POLL_SECONDS", 0.05)
    with made.state() as state:
        state.update(kubectl_state())
    return made


def shop(folder: Path, **config: Any) -> Any:
    return recipe(folder, kind="kubectl", deployment="shop", **config)


def images(tools: StandIns) -> list[str]:
    return [c["image"] for c in tools.read()["deployment"]["spec"]["template"]["spec"]["containers"]]


async def test_forward_sets_the_image_while_nothing_runs(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path, image=NEW)
    before = await forward(made)
    assert tools.done(*ACTIONS)[-4:] == [DOWN, f"kubectl set image deployment/shop web={NEW} {PLACE}", UP, STATUS]
    assert images(tools) == [NEW, "envoyproxy/envoy:v1.31"]
    assert before["revision"] == "7"
    assert before["replicas"] == 3
    standing = await made.standing()
    assert standing.running
    assert NEW in standing.version
    assert "3 of 3 pods" in standing.what


async def test_back_undoes_to_the_recorded_revision(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path, image=NEW)
    before = await forward(made)
    tools.forget()
    await back(made, before)
    assert tools.done(*ACTIONS) == [DOWN, f"kubectl rollout undo deployment/shop --to-revision=7 {PLACE}", UP, STATUS]
    assert images(tools)[0] == "registry.example.com/shop:1"
    tools.forget()
    await made.put_back(before)
    assert not tools.done(*ACTIONS)  # revision 7 has a new number by now


async def test_a_revision_that_is_not_kept_leaves_the_images(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path, image=NEW)
    before = await forward(made)
    with tools.state() as state:
        del state["revisions"]["7"]
    await back(made, before)
    assert images(tools) == ["registry.example.com/shop:1", "envoyproxy/envoy:v1.31"]


async def test_a_stop_and_start_alone_makes_no_revision(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path)
    await back(made, await forward(made))
    assert tools.done(*ACTIONS) == [DOWN, UP, STATUS, DOWN, UP, STATUS]


async def test_a_crashing_pod_ends_the_wait_at_once_and_the_old_one_comes_back(tools: StandIns, tmp_path: Path) -> None:
    with tools.state() as state:
        state["bad"] = [NEW]
        state["slow"] = True
        state["logs"] = {
            "shop-abc-2": "starting\n",
            "shop-abc-2 previous": f"connecting with {SECRET}\nkey s3cr3t-in-env refused\n",
        }
    made = shop(tmp_path, image=NEW)
    before = await made.look()
    await made.stop(before)
    await made.deploy(before)
    with pytest.raises(StepFailed) as failed:
        await asyncio.wait_for(made.start(before), 60)
    assert failed.value.code == "recipe_start_failed"
    assert "CrashLoopBackOff" in failed.value.detail
    log = await made.log_tail()
    assert log.splitlines()[1:] == ["connecting with ***", "key *** refused"]
    assert tools.lines[-1] == f"kubectl logs shop-abc-2 --container web --tail=50 --previous {PLACE}"
    await back(made, before)
    assert images(tools)[0] == "registry.example.com/shop:1"
    assert tools.read()["deployment"]["status"]["readyReplicas"] == 3


async def test_without_the_watch_over_pods_the_whole_time_is_spent(
    tools: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: kubectl goes on waiting for a pod that crashes."""

    async def blind(self: object, before: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(kubectl.KubectlRecipe, "_hopeless", blind)
    with tools.state() as state:
        state["bad"] = [NEW]
        state["slow"] = True
    made = shop(tmp_path, image=NEW)
    before = await made.look()
    await made.deploy(before)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(made.start(before), 1)


async def test_a_rollout_that_fails_by_itself_tells_its_words(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path)
    before = await made.look()
    tools.fault("rollout status", err='error: deployment "shop" exceeded its progress deadline\n')
    with pytest.raises(StepFailed) as failed:
        await made.start(before)
    assert failed.value.code == "recipe_start_failed"
    assert "progress deadline" in failed.value.detail


async def test_pods_that_stay_are_named(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path, timeout="300ms")
    before = await made.look()
    with tools.state() as state:
        state["lingering"] = [{"metadata": {"name": "shop-old-1", "ownerReferences": []}, "status": {"phase": "Running"}},
                              {"metadata": {"name": "done-1"}, "status": {"phase": "Succeeded"}},
                              {"metadata": {"name": "x", "ownerReferences": [{"kind": "ReplicaSet", "name": "other-1"}]}}]  # fmt: skip
    with pytest.raises(StepFailed) as still:
        await made.stop(before)
    assert still.value.code == "recipe_not_stopped"
    assert still.value.detail == "shop-old-1"


async def test_context_and_namespace_of_the_config_are_given_with_every_command(
    tools: StandIns, tmp_path: Path
) -> None:
    await forward(shop(tmp_path, context="other", namespace="production"))
    assert all(line.endswith("--context=other --namespace=production") for line in tools.lines)


async def test_an_autoscaler_is_recorded_and_one_of_keda_refused(tools: StandIns, tmp_path: Path) -> None:
    scaler: dict[str, Any] = {
        "metadata": {"name": "shop-hpa"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "shop"}},
    }
    with tools.state() as state:
        state["hpa"] = [scaler]
    assert (await shop(tmp_path).look())["scaler"] == "shop-hpa"
    scaler["metadata"]["ownerReferences"] = [{"kind": "ScaledObject", "name": "shop-scaled"}]
    with tools.state() as state:
        state["hpa"] = [scaler]
    with pytest.raises(StepFailed) as refused:
        await shop(tmp_path).look()
    assert refused.value.code == "recipe_autoscaler"
    assert "shop-scaled" in refused.value.message
    assert not tools.done(*ACTIONS)


async def test_what_is_not_allowed_is_found_before_anything_is_done(tools: StandIns, tmp_path: Path) -> None:
    with tools.state() as state:
        state["forbidden"] = True
    with pytest.raises(StepFailed) as denied:
        await shop(tmp_path).look()
    assert denied.value.code == "recipe_permission"
    assert not tools.done("scale")


async def test_refusals_before_anything_is_done(tools: StandIns, tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as missing:
        await recipe(tmp_path, kind="kubectl", deployment="shopp").look()
    assert missing.value.code == "recipe_not_found"
    with pytest.raises(StepFailed) as unclear:
        await shop(tmp_path, image="registry.example.com/other:2").look()
    assert unclear.value.code == "recipe_container_unclear"
    with tools.state() as state:
        state["deployment"]["spec"]["paused"] = True
    with pytest.raises(StepFailed) as paused:
        await shop(tmp_path).look()
    assert paused.value.code == "recipe_paused"
    tools.fault(
        "get deployment",
        err="The connection to the server localhost:8080 was refused - did you specify the right host or port?\n",
    )
    with pytest.raises(StepFailed) as away:
        await shop(tmp_path).look()
    assert away.value.code == "recipe_unreachable"
    tools.mend()
    tools.fault("get deployment", out="not json", status=0)
    with pytest.raises(StepFailed) as unreadable:
        await shop(tmp_path).look()
    assert unreadable.value.code == "recipe_answer"


async def test_a_hanging_cluster_is_given_up(tools: StandIns, tmp_path: Path) -> None:
    tools.fault("get deployment", hang=True)
    with pytest.raises(StepFailed) as late:
        await shop(tmp_path, timeout="500ms").look()
    assert late.value.code == "recipe_timeout"


async def test_each_action_can_be_done_twice(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path, image=NEW)
    before = await made.look()
    for action in (made.stop, made.deploy, made.start, made.stop, made.put_back, made.start):
        await action(before)
        await action(before)
    assert images(tools)[0] == "registry.example.com/shop:1"
    assert tools.read()["deployment"]["status"]["readyReplicas"] == 3


async def test_only_names_of_variables_are_told(tools: StandIns, tmp_path: Path) -> None:
    names = await shop(tmp_path).variables()
    assert names == [
        "API_KEY",
        "DATABASE_URL",
        "SESSION_SECRET",
        "configMap shop-config (all of it)",
        "secret shop-env (all of it)",
    ]


async def test_the_dry_run_shows_the_commands(tools: StandIns, tmp_path: Path) -> None:
    planned = shop(tmp_path, image=NEW, build="make push").planned()
    assert [p.action for p in planned] == ["prepare", "stop", "deploy", "start", "undo"]
    assert "rollout undo" in planned[-1].text
    assert not tools.lines


def test_names_selectors_and_repositories() -> None:
    assert [deployment_name(n) for n in ("shop", "deployment/shop", "deploy/shop", "deployments.apps/shop")] == [
        "shop"
    ] * 4
    with pytest.raises(ConfigError):
        deployment_name("statefulset/shop")
    assert [repository(i) for i in ("a:1", "host:5000/a", "host:5000/a:1", "a@sha256:1", "a:1@sha256:1")] == [
        "a", "host:5000/a", "host:5000/a", "a", "a",
    ]  # fmt: skip
    found = kubectl_state()["deployment"]
    found["spec"]["selector"] = {"matchLabels": {"app": "shop"}, "matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "old", "operator": "DoesNotExist"}]}  # fmt: skip
    assert read_deployment(found).selector == "app=shop,tier in (a,b),!old"

"""What is pulled and built while the application still runs: tags stay where they are, and a failure stops nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application.recipes import recipes_of
from stepflow_tui.engine.application.recipes.preparing import Builds, Preparing
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config_application import Application
from stepflow_tui.engine.steps.application.state import Stage
from tests.changeover_kit import engine
from tests.run_kit import until
from tests.stand_in_kit import recipe
from tests.stand_ins import StandIns, compose_labels, container, docker_state, kubectl_state

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
WEB = "1" * 64
FILE = "compose.yaml"
STOPS = ("stop", "up", "start", "create", "rename", "update", "scale", "set", "rm")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns(tmp_path / "tools", "docker", "kubectl")
    monkeypatch.setenv("PATH", str(made.bin))
    (tmp_path / FILE).write_text("services:\n  web: {image: shop:1}\n")
    with made.state() as state:
        state.update(docker_state(), **kubectl_state(), services={"web": "shop:1"})
        state["registry"]["shop:1"] = NEW  # the tag has moved on in the registry
        labels = compose_labels(str(tmp_path / FILE), "web")
        state["containers"] = {WEB: container(WEB, "shop-web-1", Labels=labels)}
        state["pulled_ids"] = [NEW]
    return made


KINDS: dict[str, dict[str, Any]] = {
    "compose": {"kind": "compose", "file": FILE, "service": "web"},
    "docker": {"kind": "docker", "container": "plain"},
    "image": {"kind": "image"},
}
MOVES = f"docker tag {NEW} shop:1"


def made(folder: Path, tools: StandIns, kind: str, **more: Any) -> Any:
    if kind == "docker":
        with tools.state() as state:
            state["containers"] = {WEB: container(WEB, "plain")}
    own = {k: folder / FILE if k == "file" else v for k, v in KINDS[kind].items()}
    return recipe(folder, **own, **more)


def where(tools: StandIns) -> Any:
    return tools.read()["tags"]["shop:1"]


@pytest.mark.parametrize(
    ("kind", "build"), [("compose", False), ("docker", False), ("image", False), ("compose", True)]
)
async def test_made_beforehand_and_used_later(tools: StandIns, tmp_path: Path, kind: str, build: bool) -> None:
    """No registry and no builder is needed any more once the application is stopped."""
    more = {"build": f"echo x >> {tmp_path}/built; {MOVES}"} if build else {}
    one = made(tmp_path, tools, kind, image="shop:1", **more)
    before = await one.look()
    await one.prepare(before)
    await one.prepare(before)
    assert where(tools) == OLD, "a start of the old side would take the new image"
    assert not tools.done(*STOPS)
    assert await one.look() == before
    tools.forget()
    tools.fault("pull", err="the registry is gone")
    await one.deploy(before)
    assert where(tools) == NEW
    assert not tools.done("pull")
    assert not build or (tmp_path / "built").read_text() == "x\nx\n", "built by each `prepare`, and no more"


async def test_what_was_pruned_meanwhile_is_pulled_again(tools: StandIns, tmp_path: Path) -> None:
    one = made(tmp_path, tools, "image", image="shop:1")
    before = await one.look()
    await one.prepare(before)
    with tools.state() as state:
        state["pulled_ids"] = []
    await one.deploy(before)
    assert where(tools) == NEW
    assert len(tools.done("pull")) == 2


@pytest.mark.parametrize(
    ("kind", "config"), [("compose", {"build": f"{MOVES}; echo no room; exit 3"}), ("docker", {}), ("image", {})]
)
async def test_a_failure_moves_no_tag(tools: StandIns, tmp_path: Path, kind: str, config: dict[str, Any]) -> None:
    one = made(tmp_path, tools, kind, image="shop:1", **config)
    before = await one.look()
    tools.fault("docker pull", err="net/http: TLS handshake timeout")
    with pytest.raises(StepFailed) as failed:
        await one.prepare(before)
    assert failed.value.code == ("recipe_build_failed" if config else "recipe_image_missing")
    assert where(tools) == OLD
    assert not tools.done(*STOPS)


async def test_a_build_that_is_cancelled_moves_no_tag(tools: StandIns, tmp_path: Path) -> None:
    one = made(tmp_path, tools, "image", image="shop:1", build=f"{MOVES}; exec /bin/sleep 60")
    before = await one.look()
    task = asyncio.create_task(one.prepare(before))
    await asyncio.to_thread(until, lambda: where(tools) == NEW, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert where(tools) == OLD


async def test_an_engine_that_died_in_between_is_seen_through(tools: StandIns, tmp_path: Path) -> None:
    """The tag has moved already: what it pointed to before is still known, and put back by the next one."""
    one = made(tmp_path, tools, "image", image="shop:1", build="exit 3")
    tools.fault(f"tag {OLD} shop:1", err="as if it had been killed here", times=1)
    one_that_moves = made(tmp_path, tools, "image", image="shop:1", build=f"{MOVES}; exit 3")
    with pytest.raises(StepFailed, match="failed"):
        await one_that_moves.prepare(await one_that_moves.look())
    assert where(tools) == NEW
    before = await one.look()
    assert before["image"] == OLD
    with pytest.raises(StepFailed):
        await one.prepare(before)
    assert where(tools) == OLD


async def test_an_image_of_a_new_name_is_built_before_pods_go(tools: StandIns, tmp_path: Path) -> None:
    new = "registry.example.com/shop:2"
    one = recipe(tmp_path, kind="kubectl", deployment="shop", image=new, build=f"echo x >> {tmp_path}/built")
    before = await one.look()
    await one.prepare(before)
    await one.deploy(before)
    assert (tmp_path / "built").read_text() == "x\n", "built once"
    same = recipe(
        tmp_path,
        kind="kubectl",
        deployment="shop",
        image="registry.example.com/shop:1",
        build=f"echo y >> {tmp_path}/y",
    )
    await same.prepare({**before, "images": {"web": "registry.example.com/shop:1"}})
    assert not (tmp_path / "y").exists(), "a pod that starts meanwhile would take it"


WEB_RECIPE = {"kind": "compose", "file": f"/srv/{FILE}", "service": "web", "build": "make"}
SWITCH = {"file": "/srv/.env", "set": {"A": "b"}}


@pytest.mark.parametrize(
    ("config", "when"),
    [
        ({"recipe": [WEB_RECIPE]}, Builds.BEFORE),
        ({"recipe": [WEB_RECIPE], "switches": [SWITCH]}, Builds.TWICE),
        ({"recipe": [WEB_RECIPE, {**WEB_RECIPE, "service": "worker"}]}, Builds.TWICE),
        ({"recipe": [{"kind": "git", "directory": "/srv", "revision": "v2"}, WEB_RECIPE]}, Builds.AFTER),
        ({"recipe": [{"kind": "image", "image": "base:2"}, WEB_RECIPE]}, Builds.AFTER),
        ({"recipe": [{"kind": "command", "command": "./run", "pid_file": "/srv/p", "build": "make"}, WEB_RECIPE]}, Builds.AFTER),
    ],
)  # fmt: skip
def test_a_build_never_misses_what_it_is_made_of(tmp_path: Path, config: dict[str, Any], when: Builds) -> None:
    """Settings that are switched, and code that comes with another recipe, must be in the image."""
    recipes = recipes_of(Application.model_validate(config), folder=tmp_path, keep=tmp_path / "keep", redact=str)
    one = recipes[-1]
    assert isinstance(one, Preparing)
    assert one.builds is when
    shown = {Builds.BEFORE: ["prepare"], Builds.TWICE: ["prepare", "build"], Builds.AFTER: ["build"]}[when]
    assert [p.action for p in one.planned() if p.action in ("prepare", "build")] == shown


async def test_with_settings_that_change_it_is_built_once_more(tools: StandIns, tmp_path: Path) -> None:
    one = made(tmp_path, tools, "compose", build=f"echo x >> {tmp_path}/built")
    one.builds = Builds.TWICE
    before = await one.look()
    await one.prepare(before)
    await one.deploy(before)
    assert (tmp_path / "built").read_text() == "x\nx\n"


@pytest.mark.parametrize("protected", [True, False], ids=["prepared", "control"])
async def test_a_pull_that_fails_stops_nothing(tools: StandIns, tmp_path: Path, protected: bool) -> None:
    """The control leaves the step out: the same failure costs a stop."""
    tools.fault("docker pull", err="Error: TLS handshake timeout")
    config: dict[str, Any] = {
        "recipe": [{"kind": "compose", "file": str(tmp_path / FILE), "service": "web", "image": "shop:2"}]
    }
    async with engine(tmp_path, config) as (_, changeover):
        with pytest.raises(StepFailed) as failed:
            await (changeover.prepare() if protected else changeover.switch_over())
        assert changeover.stage is Stage.OLD
    assert failed.value.code == "recipe_image_missing"
    assert bool(tools.done("stop", "up")) is not protected
    if protected:
        assert "Nothing was stopped or changed: the application runs as before." in failed.value.detail
        assert where(tools) == OLD

"""image recipes, against a stand-in for docker that records every command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.errors import ConfigError, StepFailed
from tests.stand_in_kit import back, forward, recipe
from tests.stand_ins import StandIns, docker_state

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ACTIONS = ("pull", "tag", "rm")
KEPT = f"stepflow-kept:{'a' * 12}"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns(tmp_path / "tools", "docker")
    monkeypatch.setenv("PATH", str(made.bin))
    with made.state() as state:
        state.update(docker_state())
        state["registry"]["shop:1"] = NEW  # the tag has moved on
    return made


def shop(folder: Path, image: str = "shop:1", **config: Any) -> Any:
    return recipe(folder, kind="image", image=image, **config)


async def test_a_tag_is_pulled_and_put_back_on_the_old_image(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path)
    before = await forward(made)
    assert before["image"] == OLD
    assert before["digests"] == [f"shop@{OLD}"]
    assert tools.done(*ACTIONS) == [f"docker tag {OLD} {KEPT}", "docker pull shop:1"]
    assert tools.read()["tags"]["shop:1"] == NEW
    await back(made, before)
    assert tools.read()["tags"]["shop:1"] == OLD
    assert tools.done(*ACTIONS)[-1] == f"docker tag {OLD} shop:1"


@pytest.mark.parametrize("config", [{"image": f"shop:1@{NEW}"}, {"image": "shop:1", "revision": NEW}])
async def test_a_digest_gets_the_tag(tools: StandIns, tmp_path: Path, config: dict[str, str]) -> None:
    await forward(shop(tmp_path, **config))
    assert tools.done(*ACTIONS)[1:] == [f"docker pull shop@{NEW}", f"docker tag {NEW} shop:1"]


async def test_a_built_image_needs_no_registry(tools: StandIns, tmp_path: Path) -> None:
    with tools.state() as state:
        state["registry"] = {}
        state["pulled_ids"] = [NEW]
    made = shop(tmp_path, build=f"docker tag {NEW} shop:1")
    before = await forward(made)
    assert not tools.done("pull", "manifest")
    await back(made, before)
    assert tools.read()["tags"]["shop:1"] == OLD


async def test_a_build_that_fails_changes_no_tag(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path, build="echo no room; exit 3")
    with pytest.raises(StepFailed) as failed:
        await forward(made)
    assert failed.value.code == "recipe_build_failed"
    assert "no room" in failed.value.detail
    assert tools.read()["tags"]["shop:1"] == OLD


async def test_a_tag_that_is_nowhere_is_refused(tools: StandIns, tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as missing:
        await shop(tmp_path, "shop:9").look()
    assert missing.value.code == "recipe_image_missing"
    assert not tools.done(*ACTIONS)


async def test_a_tag_that_was_not_here_is_taken_away_again(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path, "shop:2")
    before = await forward(made)
    assert tools.read()["tags"]["shop:2"] == NEW
    await back(made, before)
    await made.put_back(before)
    assert "shop:2" not in tools.read()["tags"]


async def test_each_action_can_be_done_twice(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path)
    before = await made.look()
    for action in (made.deploy, made.put_back):
        await action(before)
        await action(before)
    assert tools.read()["tags"]["shop:1"] == OLD


async def test_a_server_that_is_down_a_hanging_one_and_no_docker(tools: StandIns, tmp_path: Path) -> None:
    tools.fault(
        "inspect",
        err="Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n",
    )
    with pytest.raises(StepFailed) as away:
        await shop(tmp_path).look()
    assert away.value.code == "recipe_unreachable"
    tools.mend()
    tools.fault("pull", hang=True)
    made = shop(tmp_path, timeout="500ms")
    with pytest.raises(StepFailed) as late:
        await made.deploy({"image": OLD})
    assert late.value.code == "recipe_timeout"
    tools.mend()
    tools.fault("pull", err="Error response from daemon: Get https://registry: net/http: TLS handshake timeout\n")
    with pytest.raises(StepFailed) as unsure:  # what is here may be an older version of the tag
        await made.deploy({"image": OLD})
    assert unsure.value.code == "recipe_image_missing"
    tools.mend()
    (tools.bin / "docker").unlink()
    with pytest.raises(StepFailed) as missing:
        await shop(tmp_path).look()
    assert missing.value.code == "recipe_tool_missing"


async def test_it_runs_nothing_and_tells_names_only(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path)
    assert await made.standing() is None
    assert await made.log_tail() == ""
    assert await made.variables() == ["APP_VERSION", "PATH"]
    assert [p.action for p in made.planned()] == ["prepare", "deploy", "undo"]


def test_a_digest_without_a_tag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        shop(tmp_path, f"shop@{NEW}")
    assert refused.value.code == "recipe_image_tag"


async def test_an_image_that_was_built_here_counts_though_no_registry_has_it(tools: StandIns, tmp_path: Path) -> None:
    with tools.state() as state:
        state["registry"] = {}
    await forward(shop(tmp_path))
    assert tools.read()["tags"]["shop:1"] == OLD

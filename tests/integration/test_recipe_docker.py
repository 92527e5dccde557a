"""docker recipes, against a stand-in for docker that records every command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application.recipes import containers
from stepflow_tui.engine.application.recipes.docker_args import like
from stepflow_tui.engine.errors import StepFailed
from tests.stand_in_kit import SECRET, back, forward, recipe
from tests.stand_ins import StandIns, container, docker_state

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ID = "c0ffee" + "0" * 58
ASIDE = "shop.stepflow-c0ffee000000"
ACTIONS = ("stop", "start", "update", "rename", "create", "rm", "pull", "connect")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns(tmp_path / "tools", "docker")
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.setattr(containers, "SETTLE_SECONDS", 0.1)
    old = container(ID, "shop")
    old["Config"]["Env"] += [f"SECRET_KEY={SECRET}", "NOTE=two\nlines"]
    old["Config"]["Labels"] = {"maker": "v1", "team": "shop"}
    old["HostConfig"].update(
        Binds=["/srv/shop:/data"],
        PortBindings={"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
        RestartPolicy={"Name": "always", "MaximumRetryCount": 0},
    )
    with made.state() as state:
        state.update(docker_state())
        state["containers"][ID] = old
    return made


def shop(folder: Path, **config: Any) -> Any:
    return recipe(folder, kind="docker", container="shop", **config)


def names(tools: StandIns) -> dict[str, bool]:
    return {c["Name"][1:]: c["State"]["Running"] for c in tools.read()["containers"].values()}


def only(tools: StandIns, name: str) -> Any:
    return next(c for c in tools.read()["containers"].values() if c["Name"] == f"/{name}")


async def test_a_new_container_takes_the_place_and_the_old_one_comes_back(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path, image="shop:2")
    before = await forward(made)
    keep = tmp_path / "keep/1-docker"
    assert tools.done(*ACTIONS) == [
        f"docker update --restart=no {ID}",
        f"docker stop {ID}",
        "docker pull shop:2",
        f"docker rename {ID} {ASIDE}",
        (
            f"docker create --name shop --env-file {keep}/docker-shop.env --label-file {keep}/docker-shop.labels --env NOTE"
            " --shm-size=67108864 --volume=/srv/shop:/data --restart=always --publish=127.0.0.1:8080:80/tcp"
            " --log-driver=json-file shop:2"
        ),
        f"docker start {only(tools, 'shop')['Id']}",
    ]
    assert names(tools) == {ASIDE: False, "shop": True}
    new = only(tools, "shop")
    assert new["Image"] == NEW
    assert f"SECRET_KEY={SECRET}" in new["Config"]["Env"]
    assert "APP_VERSION=1" not in new["Config"]["Env"]  # the old image's own
    assert new["Config"]["Labels"] == {"team": "shop", "stepflow.replaces": ID}
    assert new["_mode"] == "0o600"
    assert not (keep / "docker-shop.env").exists()
    tools.forget()
    await back(made, before)
    assert tools.done(*ACTIONS) == [
        f"docker stop {new['Id']}",
        f"docker rm --force {new['Id']}",
        f"docker rename {ID} shop",
        f"docker update --restart=always {ID}",
        f"docker start {ID}",
    ]
    assert names(tools) == {"shop": True}


async def test_values_never_stand_in_a_command_line(tools: StandIns, tmp_path: Path) -> None:
    await forward(shop(tmp_path, image="shop:2", env={"DATABASE_URL": "postgresql://u:geheim42@h/d"}))
    assert not [line for line in tools.lines if SECRET in line or "geheim42" in line]
    assert "DATABASE_URL=postgresql://u:geheim42@h/d" in only(tools, "shop")["Config"]["Env"]
    create = next(i for i, line in enumerate(tools.lines) if " create " in line)
    assert tools.environments[create]["NOTE"] == "two\nlines"


async def test_a_failing_start_goes_back_to_the_old_container(tools: StandIns, tmp_path: Path) -> None:
    with tools.state() as state:
        state["bad"] = [NEW]
    made = shop(tmp_path, image="shop:2")
    before = await made.look()
    await made.stop(before)
    await made.deploy(before)
    with pytest.raises(StepFailed) as failed:
        await made.start(before)
    assert failed.value.code == "recipe_start_failed"
    assert "exit status 1" in failed.value.detail
    await back(made, before)
    assert names(tools) == {"shop": True}
    assert only(tools, "shop")["Id"] == ID
    assert only(tools, "shop")["HostConfig"]["RestartPolicy"]["Name"] == "always"


async def test_without_an_image_it_is_stopped_and_started(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path)
    await back(made, await forward(made))
    once = [
        f"docker update --restart=no {ID}",
        f"docker stop {ID}",
        f"docker update --restart=always {ID}",
        f"docker start {ID}",
    ]
    assert tools.done(*ACTIONS) == once * 2
    assert (await made.standing()).running


async def test_each_action_can_be_done_twice_whatever_was_cut_off(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path, image="shop:2")
    before = await made.look()
    tools.fault(" create ", times=1)
    await made.stop(before)
    with pytest.raises(StepFailed):  # as an engine that ended between `rename` and `create`
        await made.deploy(before)
    for action in (made.stop, made.deploy, made.start, made.stop, made.put_back, made.start):
        await action(before)
        await action(before)
    assert names(tools) == {"shop": True}
    assert only(tools, "shop")["Id"] == ID


async def test_a_strangers_container_is_not_removed(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path, image="shop:2")
    before = await forward(made)
    stranger = only(tools, "shop")["Id"]
    with tools.state() as state:
        state["containers"][stranger]["Config"]["Labels"] = {}
    with pytest.raises(StepFailed) as taken:
        await made.put_back(before)
    assert taken.value.code == "recipe_name_taken"
    assert stranger in tools.read()["containers"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"HostConfig": {"AutoRemove": True}}, "recipe_no_way_back"),
        ({"Config": {"Labels": {"com.docker.compose.project": "shop"}}}, "recipe_no_way_back"),
        ({"Config": {"Labels": {"com.docker.swarm.service.id": "1"}}}, "recipe_no_way_back"),
        ({"HostConfig": {"DeviceRequests": [{"Driver": "nvidia"}]}}, "recipe_not_recreatable"),
        ({"Config": {"Healthcheck": {"Test": ["CMD", "true"]}}}, "recipe_not_recreatable"),
    ],
)
async def test_what_could_not_be_made_again_is_refused(
    tools: StandIns, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    with tools.state() as state:
        for part, values in change.items():
            state["containers"][ID][part].update(values)
    with pytest.raises(StepFailed) as refused:
        await shop(tmp_path, image="shop:2").look()
    assert refused.value.code == code
    assert not tools.done(*ACTIONS)


async def test_no_container_no_image_no_rights(tools: StandIns, tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as missing:
        await recipe(tmp_path, kind="docker", container="shopp").look()
    assert missing.value.code == "recipe_not_found"
    with pytest.raises(StepFailed) as nowhere:
        await shop(tmp_path, image="shop:9").look()
    assert nowhere.value.code == "recipe_image_missing"
    tools.fault(
        "inspect",
        err="permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock\n",
    )
    with pytest.raises(StepFailed) as denied:
        await shop(tmp_path).look()
    assert denied.value.code == "recipe_permission"
    assert "group `docker`" in denied.value.hint


async def test_the_log_has_both_streams_and_no_secrets(tools: StandIns, tmp_path: Path) -> None:
    with tools.state() as state:
        state["containers"][ID]["_log"] = f"one\ntwo {SECRET}\n"
        state["containers"][ID]["_errors"] = "three\n"
    made = shop(tmp_path)
    assert (await made.log_tail(2)).splitlines() == ["two ***", "three"]
    assert tools.lines[-1] == f"docker logs --tail 2 {ID}"
    assert await made.variables() == ["APP_VERSION", "NOTE", "PATH", "SECRET_KEY"]


async def test_a_hanging_stop_is_ended_in_time(tools: StandIns, tmp_path: Path) -> None:
    made = shop(tmp_path, timeout="500ms")
    before = await made.look()
    tools.fault(" stop ", hang=True)
    with pytest.raises(StepFailed) as late:
        await made.stop(before)
    assert late.value.code == "recipe_timeout"


async def test_the_dry_run_shows_the_commands(tools: StandIns, tmp_path: Path) -> None:
    assert [p.action for p in shop(tmp_path, image="shop:2").planned()] == [
        "prepare",
        "stop",
        "deploy",
        "start",
        "undo",
    ]
    assert [p.action for p in shop(tmp_path).planned()] == ["stop", "start", "undo"]
    assert not tools.lines


def test_every_setting_becomes_an_option() -> None:
    old = container(ID, "shop", User="1000", WorkingDir="/srv", Hostname="shop-host", Cmd=["serve", "--fast"], Tty=True,
                    ExposedPorts={"80/tcp": {}, "9000/tcp": {}}, StopTimeout=30,
                    Healthcheck={"Test": ["CMD-SHELL", "curl -f localhost"], "Interval": 30000000000, "Retries": 3})  # fmt: skip
    old["HostConfig"].update(
        NetworkMode="shop-net", Memory=1073741824, NanoCpus=1500000000, CapAdd=["NET_ADMIN"], ReadonlyRootfs=True,
        RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 5}, Mounts=[{"Type": "volume", "Source": "media", "Target": "/media", "ReadOnly": True}],
        Tmpfs={"/tmp": "size=64m"}, LogConfig={"Type": "json-file", "Config": {"max-size": "10m"}}, PortBindings={"80/tcp": [{"HostIp": "::1", "HostPort": "80"}]},
        Ulimits=[{"Name": "nofile", "Soft": 1024, "Hard": 2048}], ExtraHosts=["db:10.0.0.5"], Sysctls={"net.core.somaxconn": "512"},
    )  # fmt: skip
    old["Mounts"] = [{"Type": "volume", "Name": "f" * 64, "Destination": "/cache", "RW": True},
                     {"Type": "volume", "Name": "media", "Destination": "/media", "RW": False}]  # fmt: skip
    old["NetworkSettings"]["Networks"] = {
        "shop-net": {"Aliases": ["web", ID[:12]], "IPAMConfig": {"IPv4Address": "172.20.0.9"}},
        "other": {"Aliases": ["shop"], "IPAMConfig": None},
    }
    made = like(old, {"Config": container("x", "y")["Config"] | {"Cmd": ["serve"]}}, {})
    assert set(made.options) == {
        "--memory=1073741824", "--shm-size=67108864", "--cap-add=NET_ADMIN", "--add-host=db:10.0.0.5", "--sysctl=net.core.somaxconn=512",
        "--read-only", "--restart=on-failure:5", "--publish=[::1]:80:80/tcp", "--mount=type=volume,source=media,target=/media,readonly",
        "--tmpfs=/tmp:size=64m", "--log-driver=json-file", "--log-opt=max-size=10m", "--cpus=1.5", "--ulimit=nofile=1024:2048",
        f"--volume={'f' * 64}:/cache", "--network=shop-net", "--network-alias=web", "--ip=172.20.0.9", "--hostname=shop-host", "--user=1000",
        "--workdir=/srv", "--stop-timeout=30", "--tty", "--expose=9000/tcp", "--health-cmd=curl -f localhost",
        "--health-interval=30000000000ns", "--health-retries=3",
    }  # fmt: skip
    assert made.command == ("serve", "--fast")
    assert made.networks == (("--alias=shop", "other"),)

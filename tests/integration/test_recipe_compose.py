"""compose recipes, against a stand-in for docker that records every command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application.recipes import containers
from stepflow_tui.engine.errors import StepFailed
from tests.stand_in_kit import SECRET, back, forward, recipe
from tests.stand_ins import StandIns, compose_labels, container, docker_state

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
WEB, DB = "1" * 64, "2" * 64
KEPT = f"stepflow-kept:{'a' * 12}"
ACTIONS = ("stop", "up", "pull", "tag", "build")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "compose.yaml"
    found.write_text("services:\n  web: {image: shop:1}\n  db: {image: postgres:18}\n")
    return found


@pytest.fixture
def tools(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns(tmp_path / "tools", "docker")
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.setattr(containers, "SETTLE_SECONDS", 0.1)
    with made.state() as state:
        state.update(docker_state(), services={"web": "shop:1", "db": "shop:1"})
        state["containers"] = {
            WEB: container(WEB, "shop-web-1", Labels=compose_labels(str(file), "web")),
            DB: container(DB, "shop-db-1", Labels=compose_labels(str(file), "db")),
        }
    return made


def web(folder: Path, **config: Any) -> Any:
    return recipe(folder, kind="compose", file=folder / "compose.yaml", service="web", **config)


def stands(tools: StandIns) -> list[tuple[str, str, bool]]:
    return sorted((c["Name"][1:], c["Image"][7], c["State"]["Running"]) for c in tools.read()["containers"].values())


async def test_a_whole_project_with_a_database_is_refused(tools: StandIns, tmp_path: Path, file: Path) -> None:
    """It would be stopped with the application, in the middle of a migration into it."""
    made = recipe(tmp_path, kind="compose", file=file)
    assert (await made.look())["services"] == ["web", "db"]
    with tools.state() as found:
        found["containers"][DB]["Config"]["Image"] = "docker.io/library/postgres:18"
    with pytest.raises(StepFailed, match="db") as refused:
        await recipe(tmp_path, kind="compose", file=file).look()
    assert refused.value.code == "recipe_compose_service"
    assert not tools.done("stop")
    with tools.state() as found:
        found["containers"][DB]["State"]["Running"] = False
    assert (await recipe(tmp_path, kind="compose", file=file).look())["running"]


async def test_a_service_that_had_done_its_work_is_not_expected_to_stay(
    tools: StandIns, tmp_path: Path, file: Path
) -> None:
    made = recipe(tmp_path, kind="compose", file=file)
    with tools.state() as found:
        found["containers"][DB]["State"].update(Running=False, Status="exited")
        found["services"]["db"], found["tags"]["shop:2"], found["bad"] = "shop:2", NEW, [NEW]
    before = await made.look()
    await made.stop(before)
    await made.start(before)
    assert stands(tools) == [("shop-db-1", "b", False), ("shop-web-1", "a", True)]
    all_ran = [{**c, "running": True} for c in before["containers"]]
    with pytest.raises(StepFailed, match="did not stay up"):
        await made.start({**before, "containers": all_ran})


async def test_forward_and_back_without_a_new_version(tools: StandIns, tmp_path: Path, file: Path) -> None:
    made = web(tmp_path)
    before = await forward(made)
    await back(made, before)
    compose = f"docker compose --file {file} --project-name shop"
    once = [f"{compose} stop web", f"{compose} up --detach --no-build --no-deps web"]
    assert tools.done("stop", "up", "pull", "tag") == once * 2
    assert stands(tools) == [("shop-db-1", "a", True), ("shop-web-1", "a", True)]
    standing = await made.standing()
    assert standing.running
    assert standing.what.startswith("container shop-web-1 (")


async def test_a_new_image_is_pulled_and_the_old_one_started_again(tools: StandIns, tmp_path: Path, file: Path) -> None:
    made = web(tmp_path, image="shop:2")
    before = await forward(made)
    override = tmp_path / "keep/1-compose/compose-web.override.json"
    compose = f"docker compose --file {file} --file {override} --project-name shop"
    assert tools.done(*ACTIONS) == [
        f"docker compose --file {file} --project-name shop stop web",
        f"docker tag {OLD} {KEPT}",
        "docker pull shop:2",
        f"{compose} up --detach --no-build --no-deps web",
    ]
    assert stands(tools) == [("shop-db-1", "a", True), ("shop-web-1", "b", True)]
    await back(made, before)
    assert stands(tools) == [("shop-db-1", "a", True), ("shop-web-1", "a", True)]
    assert json.loads(override.read_text()) == {"services": {"web": {"image": KEPT, "pull_policy": "never"}}}
    await made.stop(before)
    await made.deploy(before)
    await made.start(before)
    assert stands(tools)[1] == ("shop-web-1", "b", True)  # forward again is not held back by the pinned old image


async def test_an_image_that_a_switch_wrote_into_the_file_needs_no_pin(tools: StandIns, tmp_path: Path) -> None:
    made = web(tmp_path, image="shop:2")
    before = await made.look()
    await made.stop(before)
    with tools.state() as state:
        state["services"]["web"] = "shop:2"
    await made.deploy(before)
    await made.start(before)
    assert stands(tools)[1] == ("shop-web-1", "b", True)
    assert not (tmp_path / "keep/1-compose/compose-web.override.json").exists()


async def test_a_tag_that_was_built_anew_points_to_the_old_image_again(tools: StandIns, tmp_path: Path) -> None:
    with tools.state() as state:
        state["pulled_ids"] = [NEW]
    made = web(tmp_path, build=f"docker tag {NEW} shop:1")
    before = await forward(made)
    assert tools.read()["tags"]["shop:1"] == NEW
    assert stands(tools)[1] == ("shop-web-1", "b", True)
    await back(made, before)
    assert tools.read()["tags"]["shop:1"] == OLD
    assert stands(tools)[1] == ("shop-web-1", "a", True)


async def test_a_failing_start_is_told_and_the_old_one_runs_again(tools: StandIns, tmp_path: Path) -> None:
    with tools.state() as state:
        state["bad"] = [NEW]
    made = web(tmp_path, image="shop:2")
    before = await made.look()
    await made.stop(before)
    await made.deploy(before)
    with pytest.raises(StepFailed) as failed:
        await made.start(before)
    assert failed.value.code == "recipe_start_failed"
    assert "exit status 1" in failed.value.detail
    await back(made, before)
    assert stands(tools) == [("shop-db-1", "a", True), ("shop-web-1", "a", True)]


async def test_the_number_of_containers_is_kept(tools: StandIns, tmp_path: Path, file: Path) -> None:
    with tools.state() as state:
        second = container("3" * 64, "shop-web-2", Labels=compose_labels(str(file), "web"))
        state["containers"]["3" * 64] = second
    made = web(tmp_path)
    await forward(made)
    assert tools.done("up")[0].endswith("up --detach --no-build --no-deps --scale web=2 web")
    assert "2 of 2 containers run" in (await made.standing()).what


async def test_files_folder_and_project_are_those_of_the_running_containers(
    tools: StandIns, tmp_path: Path, file: Path
) -> None:
    more = tmp_path / "compose.prod.yaml"
    more.write_text("services: {}\n")
    with tools.state() as state:
        labels = state["containers"][WEB]["Config"]["Labels"]
        labels["com.docker.compose.project"] = "blue"
        labels["com.docker.compose.project.config_files"] = f"{file},{more}"
        labels["com.docker.compose.project.environment_file"] = "/srv/prod.env"
        labels["com.docker.compose.project.working_dir"] = "/srv"
        state["projects"] = [{"Name": "blue", "Status": "running(1)", "ConfigFiles": f"{file},{more}"}]
    made = web(tmp_path)
    before = await made.look()
    await made.stop(before)
    assert tools.done("stop") == [
        f"docker compose --file {file} --file {more} --project-name blue --project-directory /srv --env-file /srv/prod.env stop web"
    ]
    assert any("--project-name blue" in line for line in tools.done("ps")[:1])


async def test_the_override_file_that_compose_reads_by_itself_is_not_lost(
    tools: StandIns, tmp_path: Path, file: Path
) -> None:
    (tmp_path / "compose.override.yaml").write_text("services: {}\n")
    with tools.state() as state:
        state["containers"] = {}
    made = web(tmp_path)
    await made.look()
    assert f"--file {file} --file {tmp_path}/compose.override.yaml" in tools.done("config")[0]


async def test_version_1_is_used_where_version_2_is_missing(tools: StandIns, tmp_path: Path, file: Path) -> None:
    with tools.state() as state:
        state["no_compose"] = True
    with pytest.raises(StepFailed) as missing:
        await web(tmp_path).look()
    assert missing.value.code == "recipe_tool_missing"
    tools.add("docker-compose")
    made = web(tmp_path)
    await forward(made)
    assert tools.done("up") == [
        f"docker-compose --file {file} --project-name shop up --detach --no-build --no-deps web"
    ]


async def test_refusals_before_anything_is_done(tools: StandIns, tmp_path: Path, file: Path) -> None:
    with pytest.raises(StepFailed) as service:
        await recipe(tmp_path, kind="compose", file=file, service="wep").look()
    assert (service.value.code, "db" in service.value.detail) == ("recipe_compose_service", True)
    with pytest.raises(StepFailed) as unclear:
        await recipe(tmp_path, kind="compose", file=file, image="shop:2").look()
    assert unclear.value.code == "recipe_compose_service"
    with pytest.raises(StepFailed) as image:
        await web(tmp_path, image="shop:9").look()
    assert image.value.code == "recipe_image_missing"
    with tools.state() as state:
        state["warnings"] = (
            'time="2026-01-02T03:04:05Z" level=warning msg="The \\"DB_PASSWORD\\" variable is not set. Defaulting to a blank string."\n'
        )
    with pytest.raises(StepFailed) as unset:
        await web(tmp_path).look()
    assert (unset.value.code, unset.value.detail) == ("recipe_variables_unset", "DB_PASSWORD")
    tools.fault("config", err="validating compose.yaml: services.web Additional property imgae is not allowed\n")
    with pytest.raises(StepFailed) as broken:
        await web(tmp_path).look()
    assert (broken.value.code, "imgae" in broken.value.detail) == ("recipe_compose_file", True)
    file.unlink()
    with pytest.raises(StepFailed) as gone:
        await web(tmp_path).look()
    assert gone.value.code == "recipe_compose_file"
    assert not tools.done(*ACTIONS)


async def test_no_rights_and_a_hanging_stop(tools: StandIns, tmp_path: Path) -> None:
    made = web(tmp_path, timeout="700ms")
    before = await made.look()
    tools.fault(" stop ", hang=True)
    with pytest.raises(StepFailed) as late:
        await made.stop(before)
    assert late.value.code == "recipe_timeout"
    tools.mend()
    tools.fault(
        " stop ",
        err="permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock\n",
    )
    with pytest.raises(StepFailed) as denied:
        await made.stop(before)
    assert denied.value.code == "recipe_permission"


async def test_each_action_can_be_done_twice(tools: StandIns, tmp_path: Path) -> None:
    made = web(tmp_path, image="shop:2")
    before = await made.look()
    for action in (made.stop, made.deploy, made.start, made.stop, made.put_back, made.start):
        await action(before)
        await action(before)
    assert stands(tools) == [("shop-db-1", "a", True), ("shop-web-1", "a", True)]


async def test_another_engine_goes_back_by_what_was_written_down(tools: StandIns, tmp_path: Path) -> None:
    before = json.loads(json.dumps(await forward(web(tmp_path, image="shop:2"))))
    await back(web(tmp_path, image="shop:2"), before)
    assert stands(tools)[1] == ("shop-web-1", "a", True)


async def test_the_log_is_that_of_the_failing_container_and_hides_secrets(
    tools: StandIns, tmp_path: Path, file: Path
) -> None:
    with tools.state() as state:
        state["containers"][WEB]["Config"]["Env"].append("SESSION_KEY=in-env-only")
        state["containers"][WEB]["_log"] = f"one\npassword is {SECRET}\nkey in-env-only\n"
    made = web(tmp_path)
    assert (await made.log_tail(2)).splitlines() == ["password is ***", "key ***"]
    assert await made.variables() == ["APP_VERSION", "PATH", "SESSION_KEY"]


async def test_the_dry_run_shows_the_commands(tools: StandIns, tmp_path: Path) -> None:
    planned = web(tmp_path, image="shop:2").planned()
    assert [p.action for p in planned] == ["prepare", "stop", "deploy", "start", "undo"]
    assert not tools.lines

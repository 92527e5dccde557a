"""systemd recipes, against a stand-in for systemctl that records every command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stepflow_tui.engine.application.recipes import systemd, systemd_unit
from stepflow_tui.engine.errors import ConfigError, StepFailed
from tests.stand_in_kit import SECRET, back, forward, recipe
from tests.stand_ins import StandIns, unit

ACTIONS = ("stop", "start", "daemon-reload", "reset-failed")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    made = StandIns(tmp_path / "tools", "systemctl", "journalctl")
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.setattr(systemd, "SETTLE_SECONDS", 0.3)
    with made.state() as state:
        state["units"] = {"shop.service": unit("shop.service")}
    return made


async def test_forward_and_back_are_a_stop_and_a_start(tools: StandIns, tmp_path: Path) -> None:
    made = recipe(tmp_path, kind="systemd", unit="shop")
    before = await forward(made)
    await back(made, before)
    stop, start = "systemctl stop shop.service --no-ask-password", "systemctl start shop.service --no-ask-password"
    assert tools.done(*ACTIONS) == [stop, start, stop, start]
    standing = await made.standing()
    assert standing is not None
    assert standing.running
    assert standing.what == "unit shop.service"
    assert standing.since


async def test_a_users_unit_is_asked_of_the_users_manager(tools: StandIns, tmp_path: Path) -> None:
    await forward(recipe(tmp_path, kind="systemd", unit="shop", user="true"))
    assert all(line.startswith("systemctl --user ") for line in tools.lines)


async def test_what_would_wake_it_is_stopped_first_and_what_goes_down_with_it_is_started_again(
    tools: StandIns, tmp_path: Path
) -> None:
    with tools.state() as state:
        state["units"] = {
            "shop.service": unit("shop.service", TriggeredBy="shop.socket shop.timer", RequiredBy="shop-worker.service multi-user.target"),
            "shop.socket": unit("shop.socket"),
            "shop.timer": unit("shop.timer", ActiveState="inactive"),
            "shop-worker.service": unit("shop-worker.service", BoundBy="shop-mail.service"),
            "shop-mail.service": unit("shop-mail.service"),
        }  # fmt: skip
    await forward(recipe(tmp_path, kind="systemd", unit="shop"))
    assert tools.done(*ACTIONS) == [
        "systemctl stop shop.socket shop.service --no-ask-password",
        "systemctl start shop.socket --no-ask-password",
        "systemctl start shop.service --no-ask-password",
        "systemctl start shop-worker.service --no-ask-password",
        "systemctl start shop-mail.service --no-ask-password",
    ]


@pytest.mark.parametrize("way", ["exit", "flap"])
async def test_a_failing_start_is_told_and_the_old_one_comes_up_again(
    tools: StandIns, tmp_path: Path, way: str
) -> None:
    made = recipe(tmp_path, kind="systemd", unit="shop")
    before = await made.look()
    await made.stop(before)
    with tools.state() as state:
        state["units"]["shop.service"]["_fails"] = way
    with pytest.raises(StepFailed) as failed:
        await made.start(before)
    assert failed.value.code == "recipe_start_failed"
    assert "shop.service" in failed.value.message
    if way == "flap":
        assert "activating (auto-restart)" in failed.value.detail
    with tools.state() as state:
        del state["units"]["shop.service"]["_fails"]
        state["units"]["shop.service"]["ActiveState"] = "failed"
    tools.forget()
    await made.start(before)
    assert tools.done("reset-failed", "start") == [
        "systemctl reset-failed shop.service --no-ask-password",
        "systemctl start shop.service --no-ask-password",
    ]


async def test_a_flapping_unit_passes_for_started_where_it_is_not_watched(
    tools: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: systemctl itself says 0."""

    async def believed(self: object, name: str, restarts: int) -> None:
        """Believe systemctl."""

    monkeypatch.setattr(systemd.SystemdRecipe, "_stays", believed)
    with tools.state() as state:
        state["units"]["shop.service"]["_fails"] = "flap"
    await forward(recipe(tmp_path, kind="systemd", unit="shop"))


async def test_a_oneshot_that_did_its_work_has_started(tools: StandIns, tmp_path: Path) -> None:
    with tools.state() as state:
        state["units"]["shop.service"].update(Type="oneshot", ActiveState="inactive", SubState="dead")
    await forward(recipe(tmp_path, kind="systemd", unit="shop"))


async def test_changed_unit_files_are_read_before_the_start(tools: StandIns, tmp_path: Path) -> None:
    with tools.state() as state:
        state["units"]["shop.service"]["NeedDaemonReload"] = "yes"
    await forward(recipe(tmp_path, kind="systemd", unit="shop"))
    assert tools.done(*ACTIONS)[1] == "systemctl daemon-reload --no-ask-password"


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"LoadState": "not-found"}, "recipe_not_found"),
        ({"LoadState": "masked"}, "recipe_masked"),
        ({"LoadState": "bad-setting"}, "recipe_broken"),
        ({"Transient": "yes"}, "recipe_no_way_back"),
        ({"RefuseManualStop": "yes"}, "recipe_no_way_back"),
    ],
)
async def test_what_could_not_be_put_back_is_refused_untouched(
    tools: StandIns, tmp_path: Path, properties: dict[str, str], code: str
) -> None:
    with tools.state() as state:
        state["units"]["shop.service"].update(properties)
    with pytest.raises(StepFailed) as refused:
        await recipe(tmp_path, kind="systemd", unit="shop").look()
    assert refused.value.code == code
    assert not tools.done(*ACTIONS)


async def test_no_permission_names_sudo(tools: StandIns, tmp_path: Path) -> None:
    tools.fault(
        " stop ",
        err="Failed to stop shop.service: Interactive authentication required.\nSee system logs for details.\n",
    )
    made = recipe(tmp_path, kind="systemd", unit="shop")
    with pytest.raises(StepFailed) as denied:
        await made.stop(await made.look())
    assert denied.value.code == "recipe_permission"
    assert "sudo" in denied.value.hint
    assert tools.read()["units"]["shop.service"]["ActiveState"] == "active"


async def test_no_systemd_and_no_systemctl_are_told_apart(tools: StandIns, tmp_path: Path) -> None:
    tools.fault("show", err="System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus: Host is down\n")  # fmt: skip
    with pytest.raises(StepFailed) as away:
        await recipe(tmp_path, kind="systemd", unit="shop").look()
    assert away.value.code == "recipe_unreachable"
    (tools.bin / "systemctl").unlink()
    with pytest.raises(StepFailed) as missing:
        await recipe(tmp_path, kind="systemd", unit="shop").look()
    assert missing.value.code == "recipe_tool_missing"


async def test_a_stop_that_hangs_is_ended_in_time(tools: StandIns, tmp_path: Path) -> None:
    made = recipe(tmp_path, kind="systemd", unit="shop", timeout="1s")
    before = await made.look()
    tools.fault(" stop ", hang=True)
    with pytest.raises(StepFailed) as late:
        await made.stop(before)
    assert late.value.code == "recipe_timeout"


async def test_a_unit_that_does_not_go_down_and_processes_left_behind_are_told(
    tools: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(tmp_path, kind="systemd", unit="shop", timeout="500ms")
    with tools.state() as state:
        state["units"]["shop.service"].update(_stays="yes", ControlGroup="/system.slice/shop.service")
    before = await made.look()
    with pytest.raises(StepFailed) as still:
        await made.stop(before)
    assert still.value.code == "recipe_not_stopped"
    with tools.state() as state:
        del state["units"]["shop.service"]["_stays"]
    group = tmp_path / "cgroup/system.slice/shop.service"
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("4711\n4712\n")
    monkeypatch.setattr(systemd_unit, "CGROUPS", tmp_path / "cgroup")
    with pytest.raises(StepFailed) as left:
        await made.stop(before)
    assert left.value.code == "recipe_left_running"
    assert "4711, 4712" in left.value.detail


async def test_a_replacement_for_systemctl_that_tells_little_is_asked_by_is_active(
    tools: StandIns, tmp_path: Path
) -> None:
    with tools.state() as state:
        state["replacement"] = True
    made = recipe(tmp_path, kind="systemd", unit="shop")
    before = await forward(made)
    assert before["running"]
    await made.stop(before)
    standing = await made.standing()
    assert standing is not None
    assert not standing.running


async def test_each_action_can_be_done_twice(tools: StandIns, tmp_path: Path) -> None:
    made = recipe(tmp_path, kind="systemd", unit="shop")
    before = await made.look()
    for action in (made.stop, made.deploy, made.start, made.stop, made.put_back, made.start):
        await action(before)
        await action(before)
    assert tools.read()["units"]["shop.service"]["ActiveState"] == "active"


async def test_the_log_is_that_of_this_start_and_hides_secrets(tools: StandIns, tmp_path: Path) -> None:
    with tools.state() as state:
        state["units"]["shop.service"]["Environment"] = 'PORT=80 "API_TOKEN=tok with blank"'
        state["journal"] = (
            f"old\n2026-01-02T03:04:05+0000 host shop[1]: {SECRET}\n2026-01-02T03:04:05+0000 host shop[1]: tok with blank!\n"
        )
    text = await recipe(tmp_path, kind="systemd", unit="shop").log_tail(2)
    assert text.splitlines() == [
        "2026-01-02T03:04:05+0000 host shop[1]: ***",
        "2026-01-02T03:04:05+0000 host shop[1]: ***!",
    ]
    line = tools.lines[-1]
    assert (
        line
        == f"journalctl --no-pager --quiet -o short-iso -n 2 _SYSTEMD_INVOCATION_ID={'1' * 32} + INVOCATION_ID={'1' * 32}"
    )


async def test_only_names_of_variables_are_told(tools: StandIns, tmp_path: Path) -> None:
    settings = tmp_path / "shop.env"
    settings.write_text(
        "# a comment that doesn't end\nDATABASE_URL=sqlite:///x.db\n\nexport_it=1\nKEY=\"one two\nTHREE=hidden\"\nLONG=a \\\nb=c\n; more\nLAST='x y'\n"
    )
    with tools.state() as state:
        state["units"]["shop.service"].update(Environment='PORT=80 "NOTE=a b=c" ODD', MainPID=str(os.getpid()))
        state["units"]["shop.service"]["_files"] = [str(settings)]
    names = await recipe(tmp_path, kind="systemd", unit="shop").variables()
    assert {"DATABASE_URL", "KEY", "LAST", "LONG", "NOTE", "PORT", "export_it", "PATH"} <= set(names)
    assert not {"THREE", "b", "ODD", "hidden"} & set(names)


async def test_the_dry_run_shows_the_commands(tools: StandIns, tmp_path: Path) -> None:
    planned = recipe(tmp_path, kind="systemd", unit="shop").planned()
    assert [p.action for p in planned] == ["stop", "start", "undo"]
    assert planned[0].text == "systemctl stop shop.service --no-ask-password"
    assert not tools.lines


@pytest.mark.parametrize("name", ["shop*", "-shop", "/etc/systemd/system/shop.service", "shop web"])
def test_a_name_that_could_mean_several_units_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        recipe(tmp_path, kind="systemd", unit=name)
    assert refused.value.code == "recipe_unit_name"

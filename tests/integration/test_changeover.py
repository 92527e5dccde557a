"""The application switched by `.env` and restart, for real: over, back, failing starts, and nothing secret in what is told."""

from __future__ import annotations

import asyncio
import json
import shutil
import stat
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application.places import settings_beside, settings_inside
from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.steps.application.bookkeeping import FOLDER
from stepflow_tui.engine.steps.application.findings import sounds_secret
from stepflow_tui.engine.steps.application.side_settings import SideSettings
from stepflow_tui.engine.steps.application.state import FILE, Stage, State, StateFile
from stepflow_tui.engine.steps.application.values import target_values
from stepflow_tui.engine.steps.application.wellbeing import as_usual, loosened
from tests.changeover_kit import LOG, PID, SECRET, application, end_app, engine, start_app, two_sides
from tests.run_kit import Bench
from tests.sample_app import call, free_port, wait_health


class World:
    """The application's folder and port, and what the run would be configured with."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.app = two_sides(folder / "app")
        self.config = application(self.app, self.port)

    @property
    def env(self) -> str:
        """The settings as they stand."""
        return (self.app / ".env").read_text()

    @property
    def orders(self) -> Any:
        """What the application that answers now has in its database."""
        wait_health(self.port)
        return call(self.port, "/orders")[1]

    async def start(self) -> str:
        """Start the application as an operator had done; its settings as they are then."""
        await asyncio.to_thread(start_app, self.app, self.port)
        return self.env


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    end_app(made.app)


async def told(made: Bench) -> dict[str, Any]:
    """The finding about a failed start."""
    (row,) = [r for r in await made.journal.findings() if r["code"] == "application_start_failed"]
    return {"object": row["object"], "severity": row["severity"], **json.loads(row["params"])}


async def test_over_and_back(world: World) -> None:
    before = await world.start()
    old = (await asyncio.to_thread(wait_health, world.port))["pid"]
    async with engine(world.folder, world.config) as (made, changeover):
        rehearsed = await changeover.rehearse()
        assert {line.key for line in rehearsed.lines} == {"DATABASE_URL", "MARK"}
        assert [p.action for p in rehearsed.planned] == ["stop", "start", "undo"]
        assert all(r.ok for r in await changeover.ready())
        assert world.env == before, "a rehearsal changes nothing"
        await changeover.switch_over()
        new = (await asyncio.to_thread(wait_health, world.port))["pid"]
        assert (changeover.stage, new != old) == (Stage.NEW, True)
        assert "MARK=new" in world.env
        gauge = made.journal.gauges()["application"]
        assert (gauge["state"], gauge["health"][0]["ok"], gauge["standing"][0]["pid"]) == ("new", True, new)
        assert gauge["last_restart"]
        await changeover.switch_over()
        assert (await asyncio.to_thread(wait_health, world.port))["pid"] == new, "done is done"
        state = made.ctx.run_dir / FOLDER / FILE
        assert stat.S_IMODE(state.stat().st_mode) == 0o600
        assert stat.S_IMODE(state.parent.stat().st_mode) == 0o700
    async with engine(world.folder, world.config) as (made, changeover):
        assert changeover.stage is Stage.NEW, "the next engine knows"
        await changeover.switch_back()
        assert (changeover.stage, world.env) == (Stage.OLD, before)
        assert len(await asyncio.to_thread(lambda: world.orders)) == 3
        codes = [r["act"] for r in await made.journal.fetch("SELECT act FROM audit")]
        assert {"application_switched", "application_back"} <= set(codes)
        assert _leaks(made) == []


def _leaks(made: Bench) -> list[Path]:
    """Files of the run that hold a secret of the application's."""
    return [p for p in made.ctx.run_dir.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]


@pytest.mark.parametrize("fault", ["leak-and-exit", "unhealthy", "hang-health", "fail-at-start"])
async def test_a_failing_start_leaves_the_old_one_running(world: World, fault: str) -> None:
    before = await world.start()
    world.config["switches"][0]["set"] = {"MARK": "new"}
    world.config["switches"].append({"file": str(world.app / "VERSION"), "pattern": "1", "to": "2"})
    world.config["health"][0] |= {"json": {"version": "2"}, "retries": 5, "start_period": "200ms", "timeout": "300ms"}
    (world.app / fault).write_text("2")
    async with engine(world.folder, world.config) as (made, changeover):
        with pytest.raises(StepFailed) as failed:
            await changeover.switch_over()
        assert failed.value.code == "application_start_failed"
        assert (changeover.stage, world.env, (world.app / "VERSION").read_text()) == (Stage.OLD, before, "1")
        assert (await asyncio.to_thread(wait_health, world.port))["version"] == "1"
        finding = await told(made)
        assert finding["object"] == "command app"
        assert "PATH" in finding["variables"]
        assert finding["outcome"] == "The old application runs again and is healthy."
        said = {"leak-and-exit": "could not connect", "fail-at-start": "refusing to start"}.get(
            fault, "version 2 listens"
        )
        assert said in finding["log"]
        assert SECRET not in json.dumps(finding) + str(failed.value)
        assert _leaks(made) == []
        (world.app / fault).unlink()
        await changeover.switch_over()
        assert (changeover.stage, await made.journal.findings()) == (Stage.NEW, [])


async def test_the_log_is_cut_and_clean(world: World) -> None:
    await world.start()
    lines = [f"line {n}" for n in range(80)] + [
        "\x1b[31mAPI_TOKEN=abc-def-0815 done",
        'postgres://me:pw-1@host/x {"password": "zz-9"}',
    ]
    print_all = " ; ".join(f"printf '%s\\n' '{line}'" for line in lines)
    world.config["recipe"][0]["command"] = f"{print_all} ; exit 3"
    async with engine(world.folder, world.config) as (made, changeover):
        with pytest.raises(StepFailed):
            await changeover.switch_over()
        log = (await told(made))["log"].splitlines()
    assert (len(log), log[0]) == (50, "line 32")
    assert [s for s in ("\x1b", "0815", "pw-1", "zz-9") if s in "".join(log)] == []


async def test_what_cannot_be_changed_is_said_while_the_application_runs(world: World) -> None:
    await world.start()
    pid = (await asyncio.to_thread(wait_health, world.port))["pid"]
    world.config["switches"] = [{"file": str(world.app / ".env"), "pattern": "[a-z]", "to": "x"}]
    async with engine(world.folder, world.config) as (made, changeover):
        assert {r.code: r.ok for r in await changeover.ready()} == {"settings": False, "recipes": True, "health": True}
        with pytest.raises(StepFailed) as failed:
            await changeover.switch_over()
        assert failed.value.code.startswith("setting_")
        assert (await told(made))["outcome"] == "The old application was not touched."
    assert (await asyncio.to_thread(wait_health, world.port))["pid"] == pid


async def test_nothing_is_put_back_before_writes_are(world: World) -> None:
    """Where taking writes back fails, the old application must not be started: it would find a database that refuses it."""
    await world.start()
    (world.app / "fail-at-start").write_text("")

    async def stuck() -> None:
        raise StepFailed("PostgreSQL does not answer.", code="away")

    async with engine(world.folder, world.config) as (made, changeover):
        with pytest.raises(StepFailed) as failed:
            await changeover.switch_over(stuck)
        assert failed.value.code == "application_not_put_back"
        assert "MARK=new" in world.env
        assert "PostgreSQL does not answer" in (await told(made))["outcome"]
    (world.app / "fail-at-start").unlink()
    async with engine(world.folder, world.config) as (made, changeover):
        await changeover.switch_over(stuck)
        assert changeover.stage is Stage.NEW


async def test_stopped_and_started_again(world: World) -> None:
    before = await world.start()
    async with engine(world.folder, world.config) as (_, changeover):
        await changeover.stop()
        await changeover.stop()
        assert changeover.stage is Stage.STOPPED
        with pytest.raises(OSError):
            call(world.port, "/health")
    async with engine(world.folder, world.config) as (_, changeover):
        await changeover.start_old()
        assert (changeover.stage, world.env) == (Stage.OLD, before)
        assert await asyncio.to_thread(wait_health, world.port)


async def test_another_recipe_meanwhile_is_refused(world: World) -> None:
    await world.start()
    async with engine(world.folder, world.config) as (_, changeover):
        await changeover.stop()
    renamed = world.config | {"recipe": [world.config["recipe"][0] | {"pid_file": str(world.app / "other.pid")}]}
    async with engine(world.folder, renamed) as (_, changeover):
        with pytest.raises(StepFlowError) as refused:
            await changeover.start_old()
    assert refused.value.code == "recipe_unknown"


async def test_a_state_that_cannot_be_read_is_no_state(world: World) -> None:
    async with engine(world.folder, world.config) as (made, changeover):
        folder = made.ctx.run_dir / FOLDER
        folder.mkdir(mode=0o700)
        (folder / FILE).write_text('{"stage": "no such')
        with pytest.raises(StepFailed) as refused:
            await changeover.switch_back()
    assert refused.value.code == "application_state_unreadable"


def test_values_for_the_settings() -> None:
    from stepflow_tui.engine.postgres.connect import Target

    target = Target(hosts=(("::1", 6432),), database="shop", user="me", password="p/w")
    values = target_values(target, Path("shop.db"))
    assert values["target_dsn"] == "postgresql://me:p%2Fw@[::1]:6432/shop"
    assert (values["target_host"], values["target_port"], values["target_password"]) == ("::1", "6432", "p/w")
    assert values["source_path"] == str(Path.cwd() / "shop.db")
    local = Target(hosts=(("/run/pg", 5432),), database="shop", user="me")
    assert target_values(local, Path("/x"))["target_password"] == ""


def test_the_old_side_is_asked_as_it_answered_before() -> None:
    from stepflow_tui.engine.model.config_application import Health

    check = Health.model_validate({"http": "http://h/", "json": {"database.kind": "postgresql"}})
    assert as_usual((check, check, check), ("whole", "loose", "never")) == (check, loosened(check))
    assert loosened(check).json_path == {}


@pytest.mark.parametrize(
    ("name", "secret"), [("SECRET_KEY", True), ("DATABASE_URL", True), ("PASSED", False), ("PORT", False)]
)
def test_names_that_sound_secret(name: str, secret: bool) -> None:
    assert sounds_secret(name) is secret


@pytest.mark.parametrize("starts", [True, False])
async def test_settings_that_come_with_the_new_version(world: World, starts: bool) -> None:
    """They are changed in the new version, and the old version gets its own back as they were."""
    shutil.copytree(world.app, world.folder / "release", ignore=shutil.ignore_patterns(PID, LOG, "port"))
    (world.folder / "release" / ".env").write_text(world.env + "MARK=of the release\n")
    (world.folder / "release" / "VERSION").write_text("2")
    await world.start()
    before = world.env
    keep = world.folder / "kept"
    keep.mkdir()
    (keep / PID).write_text((world.app / PID).read_text())
    world.config["recipe"][0] |= {"pid_file": str(keep / PID), "log": str(keep / LOG)}
    directory = {"kind": "directory", "directory": str(world.app), "release": str(world.folder / "release")}
    world.config["recipe"].insert(0, directory)
    world.config["health"][0]["json"] = {"version": "2"}
    if not starts:
        (world.folder / "release" / "fail-at-start").touch()
    try:
        async with engine(world.folder, world.config) as (_, changeover):
            if starts:
                await changeover.switch_over()
                assert (await asyncio.to_thread(wait_health, world.port))["version"] == "2"
                assert "MARK=new" in world.env
                await changeover.switch_back()
            else:
                with pytest.raises(StepFailed):
                    await changeover.switch_over()
            assert (changeover.stage, world.env) == (Stage.OLD, before)
        assert (await asyncio.to_thread(wait_health, world.port))["version"] == "1"
        assert "MARK=of the release" in (world.folder / "release" / ".env").read_text()
    finally:
        end_app(keep)


def test_what_git_knows_comes_with_the_version(tmp_path: Path) -> None:
    from stepflow_tui.engine.model.config_application import Application

    repository = tmp_path / "app"
    repository.mkdir()
    (repository / "settings.py").touch()
    (repository / ".env").touch()
    for command in (["init", "-q"], ["add", "settings.py"]):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    switches = [{"file": str(repository / name), "set": {"A": "b"}} for name in ("settings.py", ".env")]
    recipe = {"kind": "git", "directory": str(repository), "revision": "v2"}
    application = Application.model_validate({"switches": switches, "recipe": recipe})
    inside = settings_inside(application)
    assert [s.file.name for s in inside] == ["settings.py"]
    assert [s.file.name for s in settings_beside(application, inside)] == [".env"]


async def test_without_a_recipe_that_starts_nobody_is_waited_for(world: World) -> None:
    """Settings are changed; the restart is a hook's or a person's, and so are the old application's health checks."""
    before = await world.start()
    world.config["recipe"] = []
    world.config["health"][0]["json"] = {"version": "never"}
    async with engine(world.folder, world.config) as (made, changeover):
        await changeover.switch_over()
        assert (changeover.stage, "MARK=new" in world.env) == (Stage.NEW, True)
        assert await made.events("application_changed")
        await changeover.switch_back()
        assert (changeover.stage, world.env) == (Stage.OLD, before)


async def test_an_abort_waits_until_the_application_stands(world: World) -> None:
    """A changeover that was torn off would leave the application stopped."""
    await world.start()
    async with engine(world.folder, world.config) as (_, changeover):
        moving = asyncio.create_task(changeover.switch_over())
        while not changeover.underway:
            await asyncio.sleep(0)
        moving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await moving
        assert changeover.stage is Stage.NEW
    assert await asyncio.to_thread(wait_health, world.port)


async def test_what_cannot_be_stopped_goes_on(world: World) -> None:
    before = await world.start()
    pid = (await asyncio.to_thread(wait_health, world.port))["pid"]
    world.config["recipe"][0]["stop"] = "exit 5"
    async with engine(world.folder, world.config) as (made, changeover):
        with pytest.raises(StepFailed) as failed:
            await changeover.switch_over()
        assert (failed.value.code, changeover.stage, world.env) == ("recipe_stop_failed", Stage.OLD, before)
        assert (await told(made))["outcome"] == "The old application runs again and is healthy."
    assert (await asyncio.to_thread(wait_health, world.port))["pid"] == pid


async def test_a_new_side_that_cannot_be_stopped_is_not_taken_for_the_old_one(world: World) -> None:
    """It answers as the old one did, without what is demanded of the new one: its settings are what tells them apart."""
    before = await world.start()
    world.config["health"][0] |= {"json": {"version": "3"}, "retries": 2, "start_period": "200ms"}

    async def stuck() -> None:
        raise StepFailed("PostgreSQL does not answer.", code="away")

    async def taken_back() -> None:
        pass

    async with engine(world.folder, world.config) as (_, changeover):
        with pytest.raises(StepFailed):
            await changeover.switch_over(stuck)
    unstoppable = world.config | {"recipe": [world.config["recipe"][0] | {"stop": "exit 5"}]}
    async with engine(world.folder, unstoppable) as (_, changeover):
        with pytest.raises(StepFailed) as failed:
            await changeover.switch_over(taken_back)
        assert (failed.value.code, changeover.underway) == ("application_not_put_back", True)
        assert "MARK=new" in world.env
    async with engine(world.folder, world.config) as (_, changeover):
        await changeover.switch_back()
        assert (changeover.stage, world.env) == (Stage.OLD, before)
    assert await asyncio.to_thread(wait_health, world.port)


async def test_a_recipe_that_is_gone_is_refused_before_anything_is_put_back(world: World) -> None:
    await world.start()
    async with engine(world.folder, world.config) as (_, changeover):
        await changeover.stop()
    calls: list[str] = []

    async def first() -> None:
        calls.append("writes taken back")

    async with engine(world.folder, world.config | {"recipe": []}) as (_, changeover):
        for way in (partial(changeover.switch_over, first), changeover.start_old):
            with pytest.raises(StepFlowError) as refused:
                await way()
            assert refused.value.code == "recipe_unknown"
        assert (changeover.stage, calls) == (Stage.STOPPED, [])


@pytest.mark.parametrize("defect", [False, True])
async def test_a_full_disk_or_a_defect_does_not_leave_it_lying(
    world: World, monkeypatch: pytest.MonkeyPatch, defect: bool
) -> None:
    before = await world.start()
    real = StateFile._save

    def full(self: StateFile, state: State) -> None:
        if state.stage is Stage.SWITCHING:
            raise OSError(28, "No space left on device")
        real(self, state)

    async def broken(self: SideSettings) -> None:
        raise RuntimeError("a defect")

    if defect:
        monkeypatch.setattr(SideSettings, "put_beside", broken)
    else:
        monkeypatch.setattr(StateFile, "_save", full)
    async with engine(world.folder, world.config) as (_, changeover):
        with pytest.raises(StepFailed) as failed:
            await changeover.switch_over()
        assert failed.value.code == ("internal" if defect else "application_state_not_written")
        assert (changeover.stage, world.env) == (Stage.OLD, before)
    assert await asyncio.to_thread(wait_health, world.port)

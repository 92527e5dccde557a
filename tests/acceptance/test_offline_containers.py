"""Windows whose application is a container or a pod: the tools are stand-ins, the program that they run is real."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.harness import Stand
from tests.acceptance.test_offline import Window
from tests.sample_app import command_line, wait_health
from tests.stand_ins import StandIns, compose_labels, container, docker_state, kubectl_state

pytestmark = [pytest.mark.timeout(300)]
NEW = "sha256:" + "b" * 64
WEB = "1" * 64
POD_IMAGE = "registry.example.com/shop:2"
SECRET = "sup3r-s3cret-in-the-log"


class Hosted:
    """A window, and the tools that run its application."""

    def __init__(self, stand: Stand) -> None:
        self.window = Window(stand)
        self.tools = StandIns(stand.folder / "tools", "docker", "kubectl")
        stand.env["PATH"] = f"{self.tools.bin}:{os.environ['PATH']}"
        self._line = shlex.split(command_line(self.window.folder, self.window.port).removeprefix("exec "))

    def config(self, **recipe: Any) -> None:
        """The window's config with another recipe."""
        window = self.window
        check = {"http": f"http://127.0.0.1:{window.port}/health", "start_period": "10s", "interval": "1s"}
        switch = {"file": str(window.folder / ".env"), "set": {"DATABASE_URL": "{target_dsn}"}}
        window.config(application={"switches": [switch], "recipe": recipe, "health": [check]})

    def compose(self, **more: Any) -> None:
        """It runs as a service of Compose."""
        file = self.window.folder / "compose.yaml"
        file.write_text("services:\n  web: {image: shop:1}\n")
        made = container(WEB, "shop-web-1", Labels=compose_labels(str(file), "web"))
        with self.tools.state() as state:
            state.update(docker_state(), services={"web": "shop:1"}, containers={WEB: made})
        self.config(kind="compose", file=str(file), service="web", **more)
        self._begin()

    def pods(self) -> None:
        """It runs as a deployment."""
        with self.tools.state() as state:
            state.update(kubectl_state(replicas=1))
        self.config(kind="kubectl", deployment="shop", image=POD_IMAGE)
        self._begin()

    def _begin(self) -> None:
        with self.tools.state() as state:
            state["program"] = {
                "name": "shop-web-1", "command": shlex.join(self._line), "log": str(self.window.folder / "app.log"), "pid": 0,
            }  # fmt: skip
        self.window.start()
        with self.tools.state() as state:
            state["program"]["pid"] = int((self.window.stand.folder / "shop.pid").read_text())

    @property
    def pid(self) -> int:
        """Of the application that answers now."""
        return int(wait_health(self.window.port)["pid"])

    def told(self, code: str) -> dict[str, Any]:
        """A finding of the report."""
        (found,) = [f for f in self.window.stand.report()["findings"] if f["code"] == code]
        return dict(found)


@pytest.fixture
def hosted(stand: Stand) -> Iterator[Hosted]:
    made = Hosted(stand)
    yield made
    for process in made.window.processes():
        process.kill()


def _came_back(hosted: Hosted) -> None:
    ran = hosted.window.stand.run()
    assert (ran.code, ran.errors[0]["code"]) == (1, "application_start_failed"), ran.out + hosted.window.live.trouble()
    assert hosted.window.live.events("writes_taken_back")
    report = hosted.window.stand.report()
    assert report["result"] == "failed"
    finding = hosted.told("application_start_failed")
    assert "The old application runs again and is healthy." in str(finding)
    kept = [p for p in hosted.window.stand.state.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
    assert SECRET not in ran.out + ran.err + str(report)
    assert kept == []
    hosted.window.old_side()


def test_a_service_that_does_not_come_up(hosted: Hosted) -> None:
    """Its containers end at once: exactly the old image runs again, on SQLite, and the way over is free once it is mended."""
    hosted.compose(image="shop:2")
    log = (
        f"version 2 begins\npostgresql://shop:{SECRET}@db/shop\nAuthorization: Bearer {SECRET}\n"
        + '{"api_key": "%s"}\n' % SECRET
    )
    with hosted.tools.state() as state:
        state["bad"], state["images"][NEW]["_log"] = [NEW], log
    _came_back(hosted)
    assert "version 2 begins" in str(hosted.told("application_start_failed"))
    containers = hosted.tools.read()["containers"].values()
    assert [(c["Image"][7], c["State"]["Running"]) for c in containers] == [("a", True)]
    with hosted.tools.state() as state:
        state["bad"] = []
    ran = hosted.window.stand.run()
    assert ran.code == 0, ran.out + hosted.window.live.trouble()
    assert hosted.window.database() == "postgresql"


def test_a_deployment_that_does_not_come_up(hosted: Hosted) -> None:
    """Its pod crashes: scaled to nothing, undone, scaled up again, and healthy."""
    hosted.pods()
    with hosted.tools.state() as state:
        state["bad"] = [POD_IMAGE]
        state["logs"] = {"shop-abc-0 previous": f"DATABASE_PASSWORD={SECRET}\nconnection refused\n"}
    _came_back(hosted)
    finding = hosted.told("application_start_failed")
    assert "CrashLoopBackOff" in str(finding)
    assert "connection refused" in str(finding)
    spec = hosted.tools.read()["deployment"]["spec"]
    assert spec["replicas"] == 1
    assert spec["template"]["spec"]["containers"][0]["image"].endswith("shop:1")


@pytest.mark.parametrize("how", ["pull", "build"])
def test_an_image_that_can_not_be_had_costs_no_stop(hosted: Hosted, how: str) -> None:
    """The application is not stopped for a pull or a build that fails: the very process goes on."""
    hosted.compose(**({"image": "shop:2"} if how == "pull" else {"build": "echo no room; exit 3"}))
    hosted.tools.fault("docker pull", err="Error: TLS handshake timeout")
    pid = hosted.pid
    ran = hosted.window.stand.run()
    code = "recipe_image_missing" if how == "pull" else "recipe_build_failed"
    assert (ran.code, ran.errors[0]["code"]) == (1, code), ran.out + hosted.window.live.trouble()
    assert "the application runs as before" in ran.errors[0]["detail"]
    assert hosted.pid == pid
    assert not hosted.tools.done("stop", "up")
    assert not hosted.window.live.events("offline_window_begun")
    assert hosted.window.stand.report()["result"] == "failed"
    hosted.window.old_side()


@pytest.mark.parametrize("point", ["recipe_prepare_noted:1", "application_prepared:1"])
def test_killed_before_the_stop(hosted: Hosted, point: str) -> None:
    """The application works on; the next engine prepares again, and nothing asks the registry while it is stopped."""
    hosted.compose(image="shop:2")
    stand, pid = hosted.window.stand, hosted.pid
    stand.env["STEPFLOW_FAILPOINT"] = f"{point}:kill"
    stand.start("run", str(stand.config_path), "--yes", "--json").wait(120)
    del stand.env["STEPFLOW_FAILPOINT"]
    stand.idle()
    assert hosted.pid == pid
    assert not hosted.tools.done("stop", "up")
    ran = stand.run()
    assert ran.code == 0, ran.out + hosted.window.live.trouble()
    lines = hosted.tools.done("pull", "stop")
    assert "stop web" in lines[-1], "pulled before the stop alone"
    assert hosted.window.database() == "postgresql"

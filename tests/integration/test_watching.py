"""The services that watch the application, in an engine of this process: phases, the way back, engines that follow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stepflow_tui.engine.alerts import watch
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.journal.status import status_of
from stepflow_tui.engine.model.state import StepState
from stepflow_tui.engine.playbooks.application import watched
from stepflow_tui.engine.playbooks.spec import Playbook
from stepflow_tui.engine.report import markdown
from stepflow_tui.engine.report.collect import collect
from stepflow_tui.engine.steps.application.watching import APPLICATION, AVAILABILITY, HEALTH
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.services import Services
from stepflow_tui.engine.testing import FakeStep
from tests.run_kit import Bench, bench, book
from tests.service_kit import http, serving

TICK = 0.02


class App:
    """An application that can be switched off."""

    def __init__(self) -> None:
        self.up = True
        self.port = 0

    async def __call__(self, _method: str, _path: str, _body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http(200 if self.up else 503))

    def config(self) -> str:
        url = f"http://127.0.0.1:{self.port}/health"
        checks = {"http": url, "interval": f"{TICK}s"}
        return json.dumps({"availability": {"http": url, "every": f"{TICK}s"}, "health": [checks]})


async def seen(ctx: RunContext, wanted: Any) -> None:
    """Until the gauges are as wanted."""
    async with asyncio.timeout(20):
        while not wanted(ctx.journal.gauges()):
            await asyncio.sleep(TICK / 2)


def requests(gauges: dict[str, Any], phase: str, kind: str = "requests") -> int:
    return int(gauges.get(AVAILABILITY, {}).get("phases", {}).get(phase, {}).get(kind, 0))


def gap(gauges: dict[str, Any]) -> float:
    return float(gauges.get(AVAILABILITY, {}).get("gap_seconds", 0.0))


@asynccontextmanager
async def engine(folder: Path, app: App, playbook: Playbook) -> AsyncIterator[Bench]:
    made = Playbook(kind=playbook.kind, mode=playbook.mode, phases=playbook.phases, open=watched(playbook.open))
    async with bench(folder, made, application=app.config()) as one:
        failures: list[BaseException] = []
        one.ctx.services = Services(failures.append)
        await one.journal.load_gauges()
        yield one
        await one.ctx.services.stop()
        assert failures == []
        await one.journal.flush_progress()


@asynccontextmanager
async def running() -> AsyncIterator[App]:
    app = App()
    async with serving(app) as app.port:
        yield app


async def test_each_phase_has_its_figures_and_the_way_back_too(tmp_path: Path) -> None:
    async with running() as app:

        async def going(ctx: RunContext) -> Evidence:
            await seen(ctx, lambda g: requests(g, "backfill") >= 2)
            return {}

        async def moving(ctx: RunContext) -> Evidence:
            app.up = False
            await seen(ctx, lambda g: requests(g, "validate", "failed") >= 3)
            app.up = True
            await seen(ctx, lambda g: g[AVAILABILITY]["now"]["ok"])
            return {}

        class Back(FakeStep):
            async def undo(self, ctx: RunContext) -> Evidence:
                await seen(ctx, lambda g: requests(g, "rollback") >= 2)
                return await FakeStep.undo(self, ctx)

        steps = (Back(name="a", act=going),), (FakeStep(name="b", act=moving),)
        plan = book(("prepare", ()), ("backfill", steps[0]), ("validate", steps[1]))
        async with engine(tmp_path, app, plan) as one:
            await one.runner.run()
            one.runner.go_back(None)
            await one.runner.run()
            ctx = one.ctx
        run_dir = ctx.run_dir
        with RunReader(run_dir) as reader:
            status = status_of(reader)
        report = collect(run_dir, ctx.state_dir)
    phases = report["availability"]
    assert {"backfill", "validate", "rollback"} <= set(phases)
    assert phases["backfill"]["failed"] == 0
    assert phases["validate"]["failed"] >= 3
    assert phases["validate"]["longest_gap_seconds"] > 0
    assert phases["validate"]["unavailable_seconds"] <= phases["validate"]["measured_seconds"]
    assert status["availability"]["phases"] == phases
    assert status["application"]["health"][0]["what"] == f"http://127.0.0.1:{app.port}/health"
    text = markdown.render(report)
    assert "## Availability" in text
    assert "| validate |" in text
    assert "| all |" in text


async def test_the_next_engine_adds_to_the_figures(tmp_path: Path) -> None:
    async with running() as app:

        async def work(ctx: RunContext) -> Evidence:
            before = requests(ctx.journal.gauges(), "backfill")
            await seen(ctx, lambda g: requests(g, "backfill") >= before + 2)
            return {}

        for number in (1, 2):
            step = FakeStep(name="a", act=work)
            async with engine(tmp_path, app, book(("backfill", (step,)))) as one:
                if number == 1:
                    await one.ctx.journal.set_phase("backfill", StepState.RUNNING)
                    await watched(None)(one.ctx)
                    await work(one.ctx)
                else:
                    first = one.journal.gauges()[AVAILABILITY]["phases"]["backfill"]
                    await one.runner.run()
                    both = one.journal.gauges()[AVAILABILITY]["phases"]["backfill"]
    assert both["requests"] >= first["requests"] + 2
    assert first["unmeasured_seconds"] == 0.0
    assert both["unmeasured_seconds"] > 0.0, "the time without an engine"


async def test_an_application_that_is_moved_is_not_asked_and_then_at_once(tmp_path: Path) -> None:
    async with running() as app, engine(tmp_path, app, book(("backfill", ()))) as one:
        await watched(None)(one.ctx)
        await seen(one.ctx, lambda g: g.get(APPLICATION, {}).get("health"))
        one.journal.gauge(APPLICATION, {"state": "stopping", "health": []})
        app.up = False
        await seen(one.ctx, lambda g: gap(g) > 4 * TICK)
        assert one.journal.gauges()[APPLICATION]["health"] == [], "whoever moves it asks"
        one.journal.gauge(APPLICATION, {"state": "new"})
        await seen(one.ctx, lambda g: g[APPLICATION]["health"])
        assert one.journal.gauges()[APPLICATION]["health"][0]["ok"] is False
        assert one.ctx.services.runs(AVAILABILITY)
        assert one.ctx.services.runs(HEALTH)


async def test_an_alert_while_it_does_not_answer(tmp_path: Path) -> None:
    async with running() as app, engine(tmp_path, app, book(("backfill", ()))) as one:

        async def open_alerts() -> list[str]:
            await watch.look(one.journal)
            rows = await one.journal.fetch("SELECT code FROM alert WHERE cleared_seq IS NULL")
            return [r["code"] for r in rows if r["code"].startswith("application")]

        await watched(None)(one.ctx)
        await seen(one.ctx, lambda g: g.get(AVAILABILITY, {}).get("now", {}).get("ok"))
        assert await open_alerts() == []
        app.up = False
        await seen(one.ctx, lambda g: gap(g) > 0)
        assert await open_alerts() == ["application_unavailable"]
        app.up = True
        await seen(one.ctx, lambda g: g[AVAILABILITY]["now"]["ok"])
        assert await open_alerts() == []

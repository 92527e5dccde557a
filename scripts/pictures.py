"""The README's pictures: screens of the real wizard, taken while it migrates the sample shop (`make pictures`)."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml

from stepflow_tui.app import StepFlowApp
from stepflow_tui.bridge import WizardOptions
from stepflow_tui.facade import facade

DOCS = Path(__file__).parents[1] / "docs"
ROWS = 200_000
PACE = 20_000
"""Rows a second: slow enough to be seen at work."""
WIDE, NARROW = (120, 40), (80, 24)


async def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        await take_setup(state)
        await take_run(state)


async def take_setup(state: Path) -> None:
    """The first screen, on the smallest terminal."""
    app = StepFlowApp(facade(), WizardOptions(state=state, folder=state.parent))
    async with app.run_test(size=NARROW) as pilot:
        await until(lambda: "Demo" in shown(app))
        await pilot.press("n")
        await until(lambda: "sqlite-to-postgres" in shown(app))
        await settle(app)
        keep(app, "setup")


async def take_run(state: Path) -> None:
    """The plan, then the run screen at work."""
    api = facade()
    config = await api.make_demo(state, "sqlite-to-postgres", ROWS)
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    settings["name"], settings["copy"]["max_rows_per_second"] = "shop", PACE
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    app = StepFlowApp(api, WizardOptions(state=state, folder=state.parent, new_run=config))
    async with app.run_test(size=WIDE) as pilot:
        await until(lambda: state_of(app) == "waiting")
        await pilot.press("f2")
        await until(lambda: "Phases" in shown(app) or "Steps" in shown(app))
        await pilot.press("right")
        await settle(app)
        keep(app, "plan")
        await pilot.press("f3")
        app.act("continue", {"phase": "backfill", "yes": True})
        await until(lambda: progress_of(app) > 0.4)
        await settle(app)
        keep(app, "run")
        await until(lambda: state_of(app) == "completed")
    await api.end_demo(state, config)


def state_of(app: StepFlowApp) -> str:
    """The run's state, as the app knows it."""
    return str(app.snapshot.status.get("state")) if app.snapshot is not None else ""


def progress_of(app: StepFlowApp) -> float:
    """How far the copy is, 0 to 1."""
    status = app.snapshot.status if app.snapshot is not None else {}
    progress = status.get("progress") or {}
    done = status.get("step") == "copy" and progress.get("total")
    return float(progress["done"]) / float(progress["total"]) if done else 0.0


def shown(app: StepFlowApp) -> str:
    """The text on the screen."""
    return "\n".join("".join(s.text for s in line) for line in app.screen._compositor.render_strips())


async def settle(app: StepFlowApp) -> None:
    """Let the frame be drawn."""
    await asyncio.sleep(2 * app.refresh_seconds)


async def until(true: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - the screen tells nobody
            await asyncio.sleep(0.1)


def keep(app: StepFlowApp, name: str) -> None:
    """Write the screen as it is now."""
    DOCS.mkdir(exist_ok=True)
    (DOCS / f"{name}.svg").write_text(app.export_screenshot(title="StepFlow", simplify=True), encoding="utf-8")


if __name__ == "__main__":
    os.environ["TEXTUAL_ANIMATIONS"] = "none"
    sys.exit(asyncio.run(main()))

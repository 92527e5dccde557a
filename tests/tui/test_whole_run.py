"""A real run through plan, gate and report by keys: what the screens show is what the journal says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from screens.modals.gate import GateDialog
from screens.pages.gate import open_items
from screens.plan import PlanScreen
from screens.report import ReportScreen
from stepflow_tui.app import StepFlowApp
from stepflow_tui.facade import facade
from tests.acceptance.harness import Stand, standing
from tests.integration.plan_kit import source
from tests.tui.kit import drawn, wizard
from tests.tui.plans import SHOP, shown


@pytest.fixture
def stand(tmp_path: Path, pg_dsn: str) -> Any:
    with standing(tmp_path, pg_dsn) as made:
        yield made


async def until(pilot: Pilot[Any], seen: Callable[[], bool]) -> None:
    """Let the app live until that is so."""
    for _ in range(1200):
        await pilot.pause(0.05)
        if seen():
            return
    raise AssertionError(shown(pilot.app))  # type: ignore[arg-type]


async def test_from_the_plan_over_the_gate_to_the_report(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    source(stand.source, SHOP)
    assert stand.run(yes=False).code == 6, "it waits before the copy"
    stand.idle()
    monkeypatch.setenv("TARGET_DSN", stand.dsn)
    before = stand.source_hash()
    app = wizard(stand.state, open_run=facade().resolve_run(stand.state, stand.name))
    async with app.run_test(size=(80, 24)) as pilot:
        await _at_the_gate(app, pilot)
        dialog = app.screen
        assert isinstance(dialog, GateDialog)
        await pilot.press("space", *"archived", "enter")
        await until(
            pilot, lambda: any(i["state"] == "ticked" for i in dialog._facts.items if i["id"] == "backup-config")
        )
        assert "backup-config" not in {i["id"] for i in open_items(dialog._gate, dialog._facts)}
        await pilot.press("right", "enter")
        await until(pilot, lambda: not isinstance(app.screen, GateDialog))
        await until(pilot, lambda: bool(app.snapshot and app.snapshot.status["result"] == "completed"))
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ReportScreen) and app.screen.view is not None)
        assert "Completed: 2 of 2 tables verified equal" in shown(app)
    report = stand.report()
    items = {i["id"]: i for i in report["checklist"]}
    assert (items["backup-config"]["state"], items["backup-config"]["note"]) == ("ticked", "archived")
    assert items["teams-told"]["state"] == "accepted"
    assert stand.source_hash() == before


async def _at_the_gate(app: StepFlowApp, pilot: Pilot[Any]) -> None:
    """F2, the plan is read, `c` opens the gate."""
    await until(pilot, lambda: app.snapshot is not None and app.current_mode == "run")
    await pilot.press("f2")
    await until(pilot, lambda: isinstance(app.screen, PlanScreen) and app.screen.view is not None)
    screen = app.screen
    assert isinstance(screen, PlanScreen)
    assert screen.view is not None
    assert screen.view.plan is not None
    assert "gate before Copy" in shown(app)
    await pilot.press("c")
    await until(pilot, lambda: isinstance(app.screen, GateDialog) and bool(app.screen._facts.items))
    drawn(app)

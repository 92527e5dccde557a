"""A rollback asks whether settings can be put back while the new application still runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import PhaseName
from stepflow_tui.engine.steps.application.state import Stage
from stepflow_tui.engine.steps.live import opening
from tests.changeover_kit import application, end_app, engine, start_app, two_sides
from tests.sample_app import free_port, wait_health


async def test_a_setting_that_somebody_changed_is_named_before_anything_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: `switch_back`, without the question, leaves nobody running."""
    looked: list[str] = []

    async def owner(_ctx: Any) -> Owner:
        return Owner.POSTGRESQL

    async def look(_ctx: Any) -> None:
        looked.append("the way back")

    monkeypatch.setattr(opening, "owner_of", owner)
    monkeypatch.setattr(opening, "look_back", look)
    app, port = two_sides(tmp_path / "app"), free_port()
    config = application(app, port)
    try:
        await asyncio.to_thread(start_app, app, port)
        async with engine(tmp_path, config) as (made, changeover):
            await changeover.switch_over()
            await opening.consent_live(made.ctx, (PhaseName.CUTOVER,))
            assert looked == ["the way back"]
            new = await asyncio.to_thread(wait_health, port)
            env = app / ".env"
            ours = env.read_text()
            env.write_text(ours.replace("MARK=new", "MARK=other"))
            with pytest.raises(Refused, match="MARK"):
                await opening.consent_live(made.ctx, (PhaseName.CUTOVER,))
            assert (await asyncio.to_thread(wait_health, port))["pid"] == new["pid"]
            with pytest.raises(Refused):
                await changeover.switch_back()
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(wait_health, port, 0.2)
            env.write_text(ours)
            await changeover.switch_back()
            assert changeover.stage is Stage.OLD
    finally:
        end_app(app)

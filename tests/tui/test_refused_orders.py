"""An order of the read switch is answered before it is carried out: that it was refused is told when it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tui.kit import snapshot
from tests.tui.test_control_watch import at_a_run, seen

REFUSED: dict[str, Any] = {
    "event": "switch_refused",
    "time": "2026-01-01T12:00:00Z",
    "seq": 7,
    "code": "switch_disarmed",
    "message": "Reads were moved back by themselves, and the switch is not armed.",
}


async def test_a_refused_order_is_told_once(tmp_path: Path) -> None:
    app, _ = at_a_run(tmp_path)
    async with app.run_test() as pilot:
        assert await seen(pilot, app, snapshot()) == []
        told = await seen(pilot, app, snapshot(events=[REFUSED]), snapshot())
        assert len(told) == 1
        assert "the switch is not armed" in told[0]


async def test_what_was_refused_in_the_past_is_not_told(tmp_path: Path) -> None:
    app, _ = at_a_run(tmp_path)
    async with app.run_test() as pilot:
        assert await seen(pilot, app, snapshot(events=[REFUSED]), snapshot()) == []

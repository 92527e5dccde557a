"""Pictures of the run screen in its main states, at both sizes, in other colours and languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepflow_tui.engine.texts import language
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES, wizard
from tests.tui.run_states import STATES, on_screen

MAIN = ("running", "waiting", "paused", "failed", "incomplete", "completed", "engine-lost", "production")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", MAIN)
async def test_state(tmp_path: Path, snap: Snap, state: str, size: str) -> None:
    async with on_screen(wizard(tmp_path), STATES[state](), SIZES[size]) as shown:
        snap(shown.app, f"{state}-{size}")


async def test_chinese(tmp_path: Path, snap: Snap) -> None:
    language.use("zh")
    async with on_screen(wizard(tmp_path), STATES["running"](), SIZES["80x24"]) as shown:
        snap(shown.app, "running-zh-80x24")


async def test_ascii(tmp_path: Path, snap: Snap) -> None:
    async with on_screen(wizard(tmp_path, ascii=True), STATES["running"](), SIZES["120x40"]) as shown:
        assert all(line.isascii() for line in shown.lines)
        snap(shown.app, "running-ascii-120x40")


async def test_no_colour_on_a_slow_line(tmp_path: Path, snap: Snap, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with on_screen(wizard(tmp_path, slow=True), STATES["production"](), SIZES["80x24"]) as shown:
        assert "PROD" in shown.lines[0]
        assert "12:04" in shown.lines[0]
        assert "12:04:31" not in shown.lines[0]
        snap(shown.app, "production-slow-no-colour-80x24")


async def test_narrow_steps(tmp_path: Path, snap: Snap) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), SIZES["80x24"]) as shown:
        await shown.press("0")
        snap(shown.app, "steps-80x24")

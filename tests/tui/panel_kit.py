"""One panel on a screen of its own, and counting the rows that are drawn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.screen import Screen

from screens.panels.base import Panel
from screens.widgets.line_list import LineList
from tests.tui.kit import wizard

P = TypeVar("P", bound=Panel)


class OnePanel(Screen[None]):
    """Nothing but a panel."""

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self.panel = panel

    def compose(self) -> ComposeResult:
        """The panel."""
        yield self.panel


@asynccontextmanager
async def shown(folder: Path, panel: P, size: tuple[int, int], **options: Any) -> AsyncIterator[tuple[Pilot[Any], P]]:
    """The panel, focused, in the wizard."""
    app = wizard(folder, **options)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await app.push_screen(OnePanel(panel))
        panel.focus()
        await pilot.pause()
        yield pilot, panel


def count_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of lists that are drawn from now on."""
    drawn: list[int] = []
    draw = LineList.draw_row

    def counted(self: LineList, y: int) -> None:
        drawn.append(y)
        draw(self, y)

    monkeypatch.setattr(LineList, "draw_row", counted)
    return drawn

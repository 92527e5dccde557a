"""The phases on one line, for terminals too narrow for the steps beside the panels."""

from __future__ import annotations

from rich.text import Text

from screens.glyphs import Glyphs
from screens.host import host
from screens.panels.base import Value
from screens.panels.steps import phase_sign
from screens.run_words import Status, phase_title
from screens.widgets.fitting import cut_text
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _

STYLES = {"good": "green", "strong": "bold cyan", "bad": "bold red", "warn": "yellow", "dim": "dim"}


class PhaseLine(Value):
    """Where the run is, in one line."""

    DEFAULT_CSS = """
    PhaseLine {
        height: 1;
        text-wrap: nowrap;
    }
    """

    def apply(self, snapshot: Snapshot) -> None:
        """Show the phases."""
        self.show(phase_line(snapshot.status, self.screen.size.width, host(self).glyphs))

    async def on_click(self) -> None:
        """Open the steps."""
        await self.screen.run_action("panel_0")


def phase_line(status: Status, width: int, glyphs: Glyphs) -> Text:
    """` ✓1 Prepare ▸2 Copy ·3 Verify ·4 Complete  [0] all`; only the present phase has its name where all don't fit."""
    hint = f"  [0] {_('all')} "
    room = width - Text(hint).cell_len
    line = _phases(status, glyphs, names=True) if status.get("phases") else Text(f" {_('no steps yet')}", "dim")
    if line.cell_len > room:
        line = _phases(status, glyphs, names=False)
    return cut_text(line, room, glyphs.more).copy().append(hint, "bold")


def _phases(status: Status, glyphs: Glyphs, *, names: bool) -> Text:
    line = Text()
    for number, phase in enumerate(status.get("phases") or (), start=1):
        sign, role = phase_sign(phase, glyphs)
        named = names or phase["name"] == status.get("phase")
        title = f" {phase_title(phase['name'], status)}" if named else ""
        line.append(f" {sign}{number}{title}", STYLES.get(role, ""))
    return line

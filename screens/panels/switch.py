"""Panel 3: how much of the reading goes to the new side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult

from screens.glyphs import Glyphs, bar
from screens.host import host
from screens.panels.base import Panel, Value
from screens.run_words import Status
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

BAR_CELLS = 30


class SwitchPanel(Panel):
    """The read switch."""

    NUMBER: ClassVar[int] = 3
    NAME: ClassVar[str] = N_("Switch")
    HELP: ClassVar[str] = N_(
        "How much of the application's reading goes to the new side, and how far the new side is behind. "
        "s changes the percentage, B sends all reads back to the old side."
    )
    DEFAULT_CSS = """
    SwitchPanel Value {
        height: auto;
    }
    """

    def compose(self) -> ComposeResult:
        """One text."""
        yield Value(id="text")

    def apply(self, snapshot: Snapshot) -> None:
        """Show the switch, or say why there is none."""
        lines = list(switch_lines(snapshot.status, self.size.width, host(self).glyphs))
        self.query_one("#text", Value).show(Text("\n".join(lines)))

    def copy_text(self) -> str:
        """What is shown."""
        return str(self.query_one("#text", Value).shown)


def switch_lines(status: Status, width: int, glyphs: Glyphs) -> Iterator[str]:
    """The switch in a few lines."""
    switch, lag = status.get("switch"), status.get("lag")
    if switch is None:
        yield no_switch()
    else:
        share = int(switch.get("percentage") or 0)
        cells = max(5, min(BAR_CELLS, width - 24))
        yield _("reads to the new side {percent} %").format(percent=share) + f"  {bar(share, 100, cells, glyphs)}"
        yield _("stage {stage}, strategy {strategy}, version {version}").format(
            stage=clean_line(str(switch.get("stage") or "?")),
            strategy=clean_line(str(switch.get("strategy") or "?")),
            version=clean_line(str(switch.get("version") or "?")),
        )
    if lag is not None:
        yield _("behind by {count} changes, {time}").format(
            count=words.count(lag.get("changes")), time=words.seconds(lag.get("seconds"))
        )


def no_switch() -> str:
    """Why this run has no read switch."""
    return _("In mode copy nothing is switched: point your application at the new database when the run is complete.")

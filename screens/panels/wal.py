"""Panel 2: the source's write-ahead log: how big it is, and who keeps it from being emptied."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult

from screens.glyphs import Glyphs, spark
from screens.host import host
from screens.panels.base import Panel, Value
from screens.run_words import ENDED, Status
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render.live import is_live, is_offline, log_line, verifier_line, wal_lines

KEPT_SIZES = 90


class WalPanel(Panel):
    """The WAL of the source."""

    NUMBER: ClassVar[int] = 2
    NAME: ClassVar[str] = N_("WAL")
    HELP: ClassVar[str] = N_(
        "The write-ahead log of the SQLite source: its size, how much of it is back in the database file, and which "
        "processes keep it from being emptied. A log that only grows fills the disk. Below: the log of changes that the "
        "run keeps, and how far the continuous comparison of both sides is."
    )
    DEFAULT_CSS = """
    WalPanel Value {
        height: auto;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._sizes: deque[float] = deque(maxlen=KEPT_SIZES)
        self._taken: object = None

    def compose(self) -> ComposeResult:
        """One text."""
        yield Value(id="text")

    def apply(self, snapshot: Snapshot) -> None:
        """Show the log, or say why there is nothing to see."""
        wal, live = snapshot.status.get("wal"), snapshot.status.get("live") or {}
        if wal and snapshot.now != self._taken:
            self._taken = snapshot.now
            self._sizes.append(float(wal.get("bytes") or 0))
        if (wal or live) and snapshot.status.get("state") not in ENDED:
            lines = [*panel_lines(wal, live), *_sizes(list(self._sizes), self.size.width, host(self).glyphs)]
        else:
            lines = [_why_not(snapshot.status)]
        self.query_one("#text", Value).show(Text("\n".join(lines)))

    def copy_text(self) -> str:
        """What is shown."""
        return str(self.query_one("#text", Value).shown)


def _why_not(status: Status) -> str:
    if is_live(status) and status.get("state") in ENDED:
        return _("The run has ended: the source's log is not watched any more.")
    if is_live(status):
        return _("The source's log is watched once change capture is installed.")
    if is_offline(status):
        return _("In mode offline nobody writes to the source while it is copied: its WAL isn't watched.")
    return _("The source is copied from a backup that was restored and checked; its WAL isn't watched in mode copy.")


def panel_lines(wal: Status | None, live: Status) -> list[str]:
    """The log, the changes kept, the comparison."""
    lines = list(wal_lines(wal)) if wal else []
    return [*lines, *filter(None, (verifier_line(live), log_line(live)))]


def _sizes(sizes: list[float], width: int, glyphs: Glyphs) -> list[str]:
    return [spark(sizes, max(1, width - 2), glyphs)] if len(sizes) > 1 and max(sizes) else []

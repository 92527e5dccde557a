"""Panel 2: the write-ahead log: how big it is, how it is used, and who keeps it from being emptied."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from screens.glyphs import Glyphs, spark
from screens.host import host
from screens.panels.base import Panel, Value
from screens.run_words import ENDED, Status
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.live import as_of_line, is_in_place, is_live, is_offline, log_line, verifier_line
from stepflow_tui.render.wal import in_place_rows, wal_lines, watched_now

KEPT_SIZES = 90
LABEL_FROM = 60
"""Cells from which on the line of sizes says what it shows."""


class WalPanel(Panel):
    """The WAL of the source, or of a database that stays where it is."""

    NUMBER: ClassVar[int] = 2
    NAME: ClassVar[str] = N_("WAL")
    HELP: ClassVar[str] = N_(
        "The write-ahead log of the SQLite database: its size, how much of it is back in the database file, and which "
        "processes keep it from being emptied. A log that only grows fills the disk. Of a database that stays where it is "
        "also the last checkpoint, how fast it is written, who held the write lock, and what you can do; of a live run the "
        "log of changes that the run keeps, and how far the continuous comparison of both sides is. Looking takes no lock."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", show=False),
        Binding("down,j", "scroll_down", show=False),
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
        Binding("home,g", "scroll_home", show=False),
        Binding("end,G", "scroll_end", show=False),
    ]
    DEFAULT_CSS = """
    WalPanel {
        overflow-y: auto;
        scrollbar-size-vertical: 1;
    }
    WalPanel Value {
        height: auto;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._sizes: deque[float] = deque(maxlen=KEPT_SIZES)
        self._taken: object = None
        self._last: Snapshot | None = None

    def compose(self) -> ComposeResult:
        """One text."""
        yield Value(id="text")

    def apply(self, snapshot: Snapshot) -> None:
        """Show the log, or say why there is nothing to see."""
        self._last = snapshot
        wal = snapshot.status.get("wal")
        if wal and snapshot.now != self._taken:
            self._taken = snapshot.now
            self._sizes.append(float(wal.get("bytes") or 0))
        shown = panel_text(snapshot, list(self._sizes), self.scrollable_content_region.width, host(self).glyphs)
        self.query_one("#text", Value).show(shown)

    def on_resize(self, event: events.Resize) -> None:
        """Fit into the new size; one that was hidden had none."""
        if self._last is not None:
            self.apply(self._last)

    def copy_text(self) -> str:
        """What is shown."""
        return str(self.query_one("#text", Value).shown)


def panel_text(snapshot: Snapshot, sizes: list[float], width: int, glyphs: Glyphs) -> Text:
    """The whole panel. Commands of processes are data, never markup."""
    status = snapshot.status
    wal, live = status.get("wal"), status.get("live") or {}
    if is_in_place(status):
        if not wal or not watched_now(status):
            return Text(_not_watched(status))
        rows = in_place_rows(wal, snapshot.now.timestamp() * 1000)
        lines = [Text(f"{glyphs.confirm} {row.text}", "bold red") if row.urgent else Text(row.text) for row in rows]
        return Text("\n").join([*lines, *map(Text, _labelled(sizes, width, glyphs))])
    told = panel_lines(wal, live) if status.get("state") not in ENDED else []
    return Text("\n".join([*told, *_sizes(sizes, width, glyphs)]) if told else _why_not(status))


def _not_watched(status: Status) -> str:
    if status.get("state") in ENDED:
        return _(
            "The run has ended: the database's log is not watched any more. `stepflow monitor` goes on watching it."
        )
    if not (status.get("engine") or {}).get("alive"):
        return _("No engine works on this run just now, so nobody watches the database's log.")
    return _("The database's log is watched from the conversion to WAL on.")


def _why_not(status: Status) -> str:
    if is_live(status) and status.get("state") in ENDED:
        return _("The run has ended: the source's log is not watched any more.")
    if is_live(status):
        return _("The source's log is watched once change capture is installed.")
    if is_offline(status):
        return _("In mode offline nobody writes to the source while it is copied: its WAL isn't watched.")
    return _("The source is copied from a backup that was restored and checked; its WAL isn't watched in mode copy.")


def panel_lines(wal: Status | None, live: Status) -> list[str]:
    """The log of a source, the changes kept, the comparison."""
    lines = list(wal_lines(wal)) if wal else []
    return [*filter(None, (as_of_line(wal or live), *lines, verifier_line(live), log_line(live)))]


def _sizes(sizes: list[float], width: int, glyphs: Glyphs) -> list[str]:
    return [spark(sizes, max(1, width - 2), glyphs)] if len(sizes) > 1 and max(sizes) else []


def _labelled(sizes: list[float], width: int, glyphs: Glyphs) -> list[str]:
    """The sizes with what they are; where there is little room, without."""
    if len(sizes) < 2 or not max(sizes) or width < LABEL_FROM:
        return _sizes(sizes, width, glyphs)
    label = _("size, at most {size}").format(size=words.size(max(sizes)))
    return [f"{label}  {spark(sizes, max(1, width - len(label) - 4), glyphs)}"]

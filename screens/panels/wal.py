"""Panel 2: the source's write-ahead log: how big it is, and who keeps it from being emptied."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult

from screens.glyphs import Glyphs, spark
from screens.host import host
from screens.panels.base import Panel, Value
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

KEPT_SIZES = 90
SHOWN_READERS = 4


class WalPanel(Panel):
    """The WAL of the source."""

    NUMBER: ClassVar[int] = 2
    NAME: ClassVar[str] = N_("WAL")
    HELP: ClassVar[str] = N_(
        "The write-ahead log of the SQLite source: its size, how much of it is back in the database file, and which "
        "processes keep it from being emptied. A log that only grows fills the disk."
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
        wal = snapshot.status.get("wal")
        if wal and snapshot.now != self._taken:
            self._taken = snapshot.now
            self._sizes.append(float(wal.get("bytes") or 0))
        lines = wal_lines(wal, list(self._sizes), self.size.width, host(self).glyphs) if wal else [_why_not()]
        self.query_one("#text", Value).show(Text("\n".join(lines)))

    def copy_text(self) -> str:
        """What is shown."""
        return str(self.query_one("#text", Value).shown)


def _why_not() -> str:
    return _("The source is copied from a backup that was restored and checked; its WAL isn't watched in mode copy.")


def wal_lines(wal: Mapping[str, Any], sizes: list[float], width: int, glyphs: Glyphs) -> list[str]:
    """The log in a few lines."""
    lines = [
        _("journal mode {mode}").format(mode=clean_line(str(wal.get("mode") or "?"))),
        _("size {size}, {count} frames, {done} of them in the database file").format(
            size=words.size(wal.get("bytes")),
            count=words.count(wal.get("frames")),
            done=words.count(wal.get("checkpointed")),
        ),
        *_readers(wal.get("pinned_by") or ()),
    ]
    if len(sizes) > 1:
        lines.append(f"{spark(sizes, max(1, width - 2), glyphs)}")
    return lines


def _readers(pinned: Any) -> Iterator[str]:
    if not pinned:
        yield _("nobody keeps it from being emptied")
    for reader in list(pinned)[:SHOWN_READERS]:
        yield _("kept by process {pid} for {time}").format(
            pid=clean_line(str(reader.get("pid"))), time=words.seconds(reader.get("age_seconds"))
        )
    if len(pinned) > SHOWN_READERS:
        yield _("and {count} more").format(count=len(pinned) - SHOWN_READERS)

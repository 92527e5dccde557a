"""Panel 5: what happens, line by line. Follows the newest line until somebody scrolls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from screens.host import host
from screens.panels.base import Panel
from screens.widgets.columns import listed
from screens.widgets.find_bar import FindBar
from screens.widgets.flow import Line
from screens.widgets.line_list import LineList
from screens.widgets.moving import MOVES, Moving, actions
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _, ngettext
from stepflow_tui.render.history import Stamp, history_head, history_indent, history_lines, level_of
from stepflow_tui.render.live import sort_of

KEPT_LINES = 2000
ROLES = {"WARN": "warn", "ALERT": "bad", "ERROR": "bad"}


def log_lines(event: Mapping[str, Any], stamp: Stamp = Stamp.TIME, kind: str = "") -> list[Line]:
    """An event's lines, its level drawn by how loud it is. `kind`: of the run, some titles depend on it."""
    role = ROLES.get(level_of(event))
    indent = history_indent(stamp)
    head = len(history_head(event, stamp))
    first, *more = history_lines(event, stamp, kind)
    marks = ((0, head, role),) if role else ()
    return [Line(first, marks, indent), *(Line(text, (), indent) for text in more)]


class LogPanel(Moving, Panel):
    """The log."""

    NUMBER: ClassVar[int] = 5
    NAME: ClassVar[str] = N_("Log")
    HELP: ClassVar[str] = N_(
        "The newest events. Scrolling up stops following; o or G follows again. / searches, n and N go to the next and previous"
        " match, w wraps long lines, y copies. The journal (F4) has everything from the start."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *MOVES,
        *actions("find", "next", "previous", "follow", "wrap"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._run = ""
        self._seq = 0

    @property
    def listed(self) -> LineList:
        """The lines."""
        return self.query_one(LineList)

    def compose(self) -> ComposeResult:
        """Lines, and what is searched."""
        yield LineList(follow=True, more=host(self).glyphs.more)
        yield FindBar(_("text to look for"))

    def on_mount(self) -> None:
        """Name the panel."""
        super().on_mount()
        self.tell()

    def apply(self, snapshot: Snapshot) -> None:
        """Add the events that are new, all at once."""
        if snapshot.run != self._run:
            self._run, self._seq = snapshot.run, 0
            self.listed.show([])
        events = [*host(self).events, *snapshot.events]
        lines: list[Line] = []
        kind = sort_of(snapshot.status)
        if snapshot.skipped and not self._seq:
            text = _("{count} earlier events are in the journal (F4).")
            lines.append(Line(text.format(count=f"{snapshot.skipped:,}"), ((0, 10_000, "dim"),)))
        for event in events:
            if int(event["seq"]) > self._seq:
                self._seq = int(event["seq"])
                lines += log_lines(event, kind=kind)
        if lines:
            self.listed.append(lines, KEPT_LINES)
            self.tell()

    def tell(self) -> None:
        """In the frame: matches, and lines that came since following stopped."""
        window, parts = self.listed.window, []
        if window.needle:
            places = window.places()
            here = places.index(window.at) + 1 if window.at in places else 0
            parts.append(_("{here} of {count} matches").format(here=here, count=len(places)))
        if not window.follow:
            text = ngettext("+{count} line, o follows", "+{count} lines, o follows", window.unseen)
            parts.append(text.format(count=window.unseen) if window.unseen else _("o follows"))
        text = listed(parts, host(self).glyphs)
        if self.border_subtitle != text:
            self.border_subtitle = text

    def copy_text(self) -> str:
        """All lines kept, as shown."""
        return "\n".join(line.text for line in self.listed.lines)

    def action_find(self) -> None:
        """Type what to look for."""
        self.query_one(FindBar).open()

    def action_next(self) -> None:
        """The next match."""
        self._step(1)

    def action_previous(self) -> None:
        """The previous match."""
        self._step(-1)

    def action_follow(self) -> None:
        """Follow the newest line, or stay here."""
        listed = self.listed
        if listed.window.follow:
            listed.window.stay()
        else:
            listed.window.go_end()
        listed.draw()
        self.tell()

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.listed.window.set_wrap(not self.listed.window.wrap)
        self.listed.draw()

    def on_find_bar_typed(self, event: FindBar.Typed) -> None:
        """What is looked for changed."""
        event.stop()
        self.listed.window.find(event.text)
        self.listed.draw(again=True)
        if event.done:
            self.focus()
        self.tell()

    def on_line_list_moved(self) -> None:
        """Following may have ended."""
        self.tell()

    def _step(self, by: int) -> None:
        self.listed.window.step(by)
        self.listed.draw(again=True)
        self.tell()

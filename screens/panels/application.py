"""Panel 6: the application: whether it answers, whether it is healthy, what runs, and how long it was away in each phase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from screens.glyphs import Glyphs
from screens.host import host
from screens.panels.base import Panel, Value
from screens.run_words import Status
from screens.widgets.cells import cut
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render.application import (
    answers,
    asked,
    figures,
    health_rows,
    now_line,
    phase_table,
    restart_line,
    short_figures,
    standing_rows,
    state_word,
    table_lines,
    totals,
    watched,
)
from stepflow_tui.render.window import window_lines

PARTS = ("window", "state", "now", "sum", "rest")
WIDE_CELLS = 66
"""From here on there is room for whole words."""


class ApplicationPanel(Panel):
    """The application itself. What changes every second has a line of its own, so that only that one is drawn again."""

    NUMBER: ClassVar[int] = 6
    NAME: ClassVar[str] = N_("Application")
    HELP: ClassVar[str] = N_(
        "The application that uses the data: whether it answers just now, what every health check says, what runs and in "
        "which version, and, phase by phase, for how long it could not be used. i shows what the switch changes: the lines "
        "of its settings, and the commands that stop and start it."
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
    ApplicationPanel {
        overflow-y: auto;
        scrollbar-size-vertical: 1;
    }
    ApplicationPanel Value {
        height: 1;
        text-wrap: nowrap;
    }
    ApplicationPanel #rest, ApplicationPanel #window {
        height: auto;
    }
    ApplicationPanel #window {
        text-wrap: wrap;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: Snapshot | None = None

    def compose(self) -> ComposeResult:
        """The window, the state, whether it answers, how long it did not, the rest."""
        for name in PARTS:
            yield Value(id=name)

    def apply(self, snapshot: Snapshot) -> None:
        """Show the application, or say that none is configured."""
        self._last = snapshot
        width, glyphs = max(1, self.scrollable_content_region.width), host(self).glyphs
        for name, text in zip(PARTS, panel_parts(snapshot, width, glyphs), strict=True):
            value = self.query_one(f"#{name}", Value)
            value.display = bool(text)
            value.show(text)

    def on_resize(self, event: events.Resize) -> None:
        """Fit into the new size; one that was hidden had none."""
        if self._last is not None:
            self.apply(self._last)

    def copy_text(self) -> str:
        """What is shown."""
        return "\n".join(str(v.shown) for v in self.query(Value) if v.display).strip()


def panel_parts(snapshot: Snapshot, width: int, glyphs: Glyphs) -> tuple[Text, ...]:
    """The panel's texts, one for each of `PARTS`, cut to the width; the window alone is wrapped."""
    status = snapshot.status
    if not watched(status):
        nothing = _("No application is configured: StepFlow does not stop, start or watch any.")
        return (Text(cut(nothing, width, glyphs.more)), *[Text()] * (len(PARTS) - 1))
    application, availability = status.get("application") or {}, status.get("availability") or {}
    window = " ".join(window_lines(status, now_ms=round(snapshot.now.timestamp() * 1000)))
    told = (short_figures if width < WIDE_CELLS else figures)(totals(availability))
    now, fine = now_line(status), answers(status)
    unasked = "" if asked(status) else _("No engine works on the run: what was known last.")
    return (
        Text(window, "bold"),
        Text(cut(_head(application, width), width, glyphs.more), "bold"),
        _line(bool(fine), now, width, glyphs) if now else Text(cut(unasked, width, glyphs.more), "dim"),
        Text(cut(told, width, glyphs.more)),
        Text("\n").join(_rest(status, width, glyphs)),
    )


def _head(application: Status, width: int) -> str:
    """The fullest that fits."""
    state = state_word(application)
    for short in (False, True):
        head = "  ".join(filter(None, (state, restart_line(application, short=short))))
        if cell_len(head) <= width:
            return head
    return state


def _rest(status: Status, width: int, glyphs: Glyphs) -> Iterator[Text]:
    """What is wrong first, and the newest phase: a small panel still shows them."""
    health = list(health_rows(status))
    for wanted in (False, True):
        yield from (_line(fine, text, width, glyphs) for fine, text in health if fine is wanted)
    for fine, text in standing_rows(status, short=width < WIDE_CELLS):
        yield _line(fine, text, width, glyphs)
    table = phase_table(status, short=width < WIDE_CELLS)
    for row in table_lines([*table[:1], *reversed(table[1:])]):
        yield Text(cut(row, width, glyphs.more))


def _line(fine: bool, text: str, width: int, glyphs: Glyphs) -> Text:
    sign = glyphs.done if fine else glyphs.failed
    return Text(cut(f"{sign} {text}", width, glyphs.more), "" if fine else "bold red")

"""Panel 1: what happens now, how fast, what comes next and where it will stop; or why nothing happens and what to do."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from screens.glyphs import Glyphs, bar, spark
from screens.host import host
from screens.panels.base import Panel, Value
from screens.run_endings import said
from screens.run_said import Said
from screens.run_words import (
    ENDED,
    Status,
    amounts,
    current,
    next_line,
    percent,
    phase_title,
    throttle_words,
    time_left,
    title_of,
)
from screens.widgets.cells import cut
from screens.widgets.fitting import cut_text
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.application import OPEN_WINDOW
from stepflow_tui.render.live import freeze_line, known_lag, loses, short_time
from stepflow_tui.render.shop import shop_line
from stepflow_tui.render.window import window_lines

KEPT_RATES = 120
STILL_SECONDS = 5.0
"""Nothing more done for so long: the last speed and the time left were true, and are so no more."""
BAR_CELLS = 50
WORK = ("head", "bar", "counts", "next", "speed")


class NowPanel(Panel):
    """The present step, or what the run waits for, or how it ended."""

    NUMBER: ClassVar[int] = 1
    NAME: ClassVar[str] = N_("Now")
    HELP: ClassVar[str] = N_(
        "What the run does now: how much is done, how fast, how long it still takes, and why it is slowed down if it is. "
        "The last line says what comes next and where the run will stop and ask; of a live run also how far the new side "
        "is behind, how long writes would stand still, and what going back would mean. When nothing happens it says why, "
        "and which key to press."
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
    NowPanel {
        overflow-y: auto;
        scrollbar-size-vertical: 1;
    }
    NowPanel Value {
        height: 1;
        text-wrap: nowrap;
    }
    NowPanel #said {
        height: auto;
        text-wrap: wrap;
        display: none;
    }
    NowPanel.-said Value {
        display: none;
    }
    NowPanel.-said #said {
        display: block;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._rates: deque[float] = deque(maxlen=KEPT_RATES)
        self._step: object = None
        self._taken: object = None
        self._moved: tuple[object, datetime] = (None, datetime.min.replace(tzinfo=UTC))
        self._shown_title = ""
        self._last: Snapshot | None = None

    def compose(self) -> ComposeResult:
        """One line for each thing, so that only what changed is drawn."""
        for name in WORK:
            yield Value(id=name)
        yield Value(id="said")

    def apply(self, snapshot: Snapshot) -> None:
        """Show the present step, or say what is the matter."""
        self._last = snapshot
        still = self._still(snapshot)
        self._keep_rate(snapshot, still)
        self._title(snapshot.status)
        self._subtitle(snapshot.status)
        instead = said(snapshot, host(self).events) if snapshot.status or snapshot.error else None
        self.set_class(instead is not None, "-said")
        width, glyphs = max(1, self.scrollable_content_region.width), host(self).glyphs
        if instead is not None:
            self.query_one("#said", Value).show(said_text(instead, width, glyphs))
            return
        lines = work_lines(snapshot.status, list(self._rates), width, glyphs, still, now_ms=_ms(snapshot))
        for name, text in zip(WORK, lines, strict=True):
            self.query_one(f"#{name}", Value).show(cut_text(text, width, glyphs.more))

    def on_resize(self, event: events.Resize) -> None:
        """Fit into the new size: the screen's own layout may come later than its first state."""
        if self._last is not None:
            self.apply(self._last)

    def copy_text(self) -> str:
        """The lines that are shown."""
        shown = self.query(Value).filter("#said" if self.has_class("-said") else "Value")
        return "\n".join(str(v.shown) for v in shown if v.id in WORK or v.id == "said").strip()

    def _title(self, status: Status) -> None:
        at = None if status.get("state") in {*ENDED, "rolling_back"} else current(status)
        name = f"{self.NUMBER} {_(self.NAME)}" + (f" · {title_of(at[1])}" if at else "")
        if name != self._shown_title:
            self._shown_title = name
            self.border_title = Content(name)

    def _subtitle(self, status: Status) -> None:
        """What the demo's shop was told and found again; it stays in sight whatever the panel says."""
        told = Content(shop_line(status.get("shop") or {}))
        if self.border_subtitle != told:
            self.border_subtitle = told

    def _still(self, snapshot: Snapshot) -> float:
        """For how many seconds nothing more was done, 0 where that is no sign of anything yet."""
        status = snapshot.status
        done = (status.get("state"), status.get("step"), (status.get("progress") or {}).get("done"))
        if done != self._moved[0]:
            self._moved = (done, snapshot.now)
        seconds = (snapshot.now - self._moved[1]).total_seconds()
        return seconds if seconds > STILL_SECONDS else 0.0

    def _keep_rate(self, snapshot: Snapshot, still: float) -> None:
        """One rate for each frame; a new step starts anew."""
        step = snapshot.status.get("step")
        if step != self._step:
            self._step = step
            self._rates.clear()
        rate = (snapshot.status.get("progress") or {}).get("rate_per_second")
        if rate is not None and snapshot.now != self._taken:
            self._taken = snapshot.now
            self._rates.append(0.0 if still else float(rate))


def said_text(what: Said, width: int, glyphs: Glyphs) -> Text:
    """Heading, what to do, then the rest: a small panel still shows the first two."""
    text = Text().append(f"{getattr(glyphs, what.sign)} {what.head}", f"bold {what.colour}".strip())
    if what.act:
        text.append("\n" + what.act, "bold")
    for line in what.lines:
        text.append("\n" + (cut(line, width, glyphs.more) if what.short else line))
    return text


def work_lines(
    status: Status, rates: list[float], width: int, glyphs: Glyphs, still: float = 0.0, *, now_ms: int | None = None
) -> tuple[Text, Text, Text, Text, Text]:
    """Where it is; how far; how much; what comes next; how fast it was. `still`: seconds without anything more done."""
    progress = status.get("progress") or {}
    if progress and still:
        progress = {**progress, "rate_per_second": None, "eta_seconds": None, "eta_state": ""}
    return (
        Text(_where(status)),
        _bar(progress, width, glyphs) if progress else Text(_working(status), "dim"),
        Text(_counts(progress, glyphs, still)) if progress else Text(),
        Text(next_line(status, width, glyphs.more)),
        standstill(status, now_ms) or live_line(status) or _speed(rates, width, glyphs),
    )


def standstill(status: Status, now_ms: int | None) -> Text:
    """How long the application may still stand still; empty unless it does."""
    stands = (status.get("window") or {}).get("state") in OPEN_WINDOW
    return Text(" ".join(window_lines(status, now_ms=now_ms)) if stands else "", "bold")


def _ms(snapshot: Snapshot) -> int:
    return round(snapshot.now.timestamp() * 1000)


def live_line(status: Status) -> Text:
    """Of a live run: how far behind, how long a freeze, what going back means; empty before there are figures."""
    lag, live = known_lag(status), status.get("live") or {}
    parts = []
    if lag is not None:
        parts.append(
            _("behind {count}, {time}").format(
                count=words.count(lag.get("changes")), time=words.seconds(lag.get("seconds"))
            )
        )
    if freeze_line(live):
        parts.append(_("freeze about {time}").format(time=short_time(live["freeze_seconds"])))
    if what := loses(status):
        parts.append(_("back: {what}").format(what=what))
    return Text(words.clauses(parts))


def _where(status: Status) -> str:
    at = current(status)
    if at is None:
        return _("Starting.")
    phase, step = at
    names = [s["name"] for s in phase.get("steps") or ()]
    text = _("{phase}, step {number} of {count}").format(
        phase=phase_title(phase["name"], status), number=names.index(step["name"]) + 1, count=len(names)
    )
    if step.get("seconds") is not None and step["state"] == "running":
        text += f" · {_('running for {time}').format(time=words.seconds(step['seconds']))}"
    return text


def _working(status: Status) -> str:
    """Instead of a bar, where nothing can be counted."""
    at = current(status)
    seconds = at[1].get("seconds") if at else None
    return _("working") if seconds is None else _("working for {time}").format(time=words.seconds(seconds))


def _bar(progress: Status, width: int, glyphs: Glyphs) -> Text:
    done, left = percent(progress), time_left(progress)
    if done is None:
        return Text(left)
    tail = f"  {done:3d} %" + (f"  {left}" if left else "")
    cells = max(5, min(BAR_CELLS, width - Text(tail).cell_len))
    return Text.assemble((bar(progress["done"], progress["total"], cells, glyphs), "cyan"), tail)


def _counts(progress: Status, glyphs: Glyphs, still: float) -> str:
    slowed = throttle_words(progress)
    if still:
        slowed = _("nothing more for {time}").format(time=words.seconds(int(still)))
    return amounts(progress) + (f"   {glyphs.confirm} {slowed}" if slowed else "")


def _speed(rates: list[float], width: int, glyphs: Glyphs) -> Text:
    if len(rates) < 2:
        return Text()
    label = f"{_('speed')} "
    return Text.assemble(label, (spark(rates, max(1, min(60, width - Text(label).cell_len)), glyphs), "cyan"))

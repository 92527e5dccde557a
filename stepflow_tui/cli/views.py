"""The three ways a run is shown while it goes on: JSON Lines, plain lines, and moving bars on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stepflow_tui.cli import output
from stepflow_tui.cli.diagnostics import stamped
from stepflow_tui.cli.follow import View
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.texts.language import known
from stepflow_tui.engine.texts.running import step_title
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.events import event_lines
from stepflow_tui.render.findings import finding_json, finding_of

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_EVERY = 1.0
"""At most one progress line a second and step, in JSON and in plain lines."""
PLAIN_EVERY = 10.0
"""Plain lines are often kept in a log: after the first, one in ten seconds."""

Monotonic = Callable[[], float]


def view_for(session: Session, kind: str = "") -> View:
    """The view that the options and the terminal ask for. `kind`: of the run, where its beginning is not seen any more."""
    if session.globals.json:
        return JsonView(session.run)
    if output.on_terminal() and not session.globals.plain:
        return BarView(color=session.color, kind=kind)
    return PlainView(kind=kind)


class Ticker:
    """Lets one value per key through in each interval, and only if it moved."""

    def __init__(self, first: float, later: float, clock: Monotonic) -> None:
        self._first, self._later, self._clock = first, later, clock
        self._due: dict[str, float] = {}
        self._shown: dict[str, object] = {}

    def lets(self, key: str, value: object) -> bool:
        """Whether this value is to be shown now."""
        now = self._clock()
        if self._shown.get(key) == value or now < self._due.get(key, 0.0):
            return False
        self._due[key] = now + (self._later if key in self._shown else self._first)
        self._shown[key] = value
        return True


class Running:
    """Which progress rows are news: those of steps that run, and those that moved since the first look.

    The journal keeps the last figures of ended steps, of earlier engines too; shown late they would only confuse.
    """

    def __init__(self, kind: str = "") -> None:
        self._running: set[str] = set()
        self._ended: set[str] = set()
        self._first: dict[str, object] | None = None
        self.kind = kind

    def note(self, event: Mapping[str, Any]) -> None:
        """Take a step's event in, and which kind of migration it is."""
        if event["event"] == "run_started":
            self.kind = str(event.get("kind") or "")
        if event["event"] != "step":
            return
        now, before = (self._running, self._ended) if event["state"] == "running" else (self._ended, self._running)
        now.add(str(event["step"]))
        before.discard(str(event["step"]))

    def wholes(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The lines of whole steps that are news."""
        if self._first is None:
            self._first = {str(row["step"]): row["done"] for row in rows if not row["item"]}
        return [row for row in rows if not row["item"] and self._is_news(str(row["step"]), row["done"])]

    def _is_news(self, step: str, done: object) -> bool:
        moved = self._first is None or self._first.get(step) != done
        return step in self._running or (moved and step not in self._ended)


class JsonView:
    """JSON Lines, as scripts read them."""

    def __init__(self, run: str | None, clock: Monotonic = time.monotonic) -> None:
        self._run = run
        self._ticker = Ticker(LINE_EVERY, LINE_EVERY, clock)
        self._running = Running()

    def event(self, event: Mapping[str, Any]) -> None:
        """The event, without the journal's own number; a finding gets its words."""
        self._running.note(event)
        shown = {k: v for k, v in event.items() if k != "seq"}
        if event["event"] == "finding":
            shown |= finding_json(finding_of(event))
        output.emit_event(shown)

    def progress(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """The step's own line, at most one a second."""
        for row in self._running.wholes(rows):
            if self._ticker.lets(row["step"], row["done"]):
                output.emit_event(stamped(self._run, "progress", dict(row)))

    def close(self) -> None:
        """Nothing moves."""


class PlainView:
    """One line per event, for logs and dumb terminals."""

    def __init__(self, clock: Monotonic = time.monotonic, kind: str = "") -> None:
        self._ticker = Ticker(LINE_EVERY, PLAIN_EVERY, clock)
        self._running = Running(kind)

    def event(self, event: Mapping[str, Any]) -> None:
        """The event's lines."""
        self._running.note(event)
        for line in event_lines(event, self._running.kind):
            output.emit_text(line)

    def progress(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """The step's own line."""
        for row in self._running.wholes(rows):
            if self._ticker.lets(row["step"], row["done"]):
                output.emit_text(
                    f"   {words.about(known(step_title(row['step'], self._running.kind)), words.progress(row))}"
                )

    def close(self) -> None:
        """Nothing moves."""


class LastView:
    """Remembers how the run ended, and the error it ended with; passes everything on to another view, if there is one."""

    def __init__(self, inner: View | None) -> None:
        self._inner = inner
        self.result: str | None = None
        self.error: Mapping[str, Any] | None = None

    def event(self, event: Mapping[str, Any]) -> None:
        """Note the result, and the newest error."""
        if event["event"] == "error":
            self.error = event
        if event["event"] == "run_finished":
            self.result = str(event["result"])
        if self._inner is not None:
            self._inner.event(event)

    def progress(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Pass on."""
        if self._inner is not None:
            self._inner.progress(rows)

    def close(self) -> None:
        """Pass on."""
        if self._inner is not None:
            self._inner.close()


class BarView:
    """Bars for the running step and its busiest tables; lines scroll above them."""

    MAX_BARS = 8

    def __init__(self, *, color: bool, kind: str = "") -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._bars: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}", markup=False),
            console=output.console(color=color),
            transient=True,
            refresh_per_second=4,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._running = Running(kind)

    def event(self, event: Mapping[str, Any]) -> None:
        """The event's lines, above the bars; a step that ends takes its bars with it."""
        self._running.note(event)
        for line in event_lines(event, self._running.kind):
            self._bars.console.print(line, soft_wrap=True)
        if event["event"] == "step" and event["state"] != "running":
            self._drop(str(event["step"]))

    def progress(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Newest figures; finished tables make room for others."""
        if not self._bars.live.is_started:
            self._bars.start()
        for row in rows:
            key = (str(row["step"]), str(row["item"]))
            finished = row["total"] is not None and row["done"] >= row["total"]
            if key not in self._tasks:
                if finished or len(self._tasks) >= self.MAX_BARS:
                    continue
                name = key[1] or known(step_title(key[0], self._running.kind))
                self._tasks[key] = self._bars.add_task(clean_line(name)[:32], total=row["total"], figures="")
            self._bars.update(self._tasks[key], completed=row["done"], total=row["total"], figures=words.progress(row))
            if finished:
                self._bars.remove_task(self._tasks.pop(key))

    def _drop(self, step: str) -> None:
        for key in [k for k in self._tasks if k[0].split(".")[-1] == step.rsplit(".", maxsplit=1)[-1]]:
            self._bars.remove_task(self._tasks.pop(key))

    def close(self) -> None:
        """Leave the terminal as it was; the next figures draw the bars again."""
        self._bars.stop()

"""The run screen: steps, what happens now, WAL, switch, row differences, log, alerts; one look tells how the run is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical

from screens.bindings import bindings
from screens.host import host
from screens.panels.application import ApplicationPanel
from screens.panels.base import Panel, Value
from screens.panels.diffs import DiffsPanel
from screens.panels.log import LogPanel
from screens.panels.now import NowPanel
from screens.panels.steps import StepsPanel
from screens.panels.switch import SwitchPanel
from screens.panels.wal import WalPanel
from screens.run_live import LiveSteering
from screens.run_reasons import DEPENDING, observed, why_not
from screens.run_view import Viewing
from screens.run_words import quiet
from screens.widgets.afterwards import afterwards
from screens.widgets.alert_strip import AlertStrip
from screens.widgets.header import RunHeader, state_text
from screens.widgets.key_line import KeyLine
from screens.widgets.phase_line import PhaseLine
from stepflow_tui.actions import Scope
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.live import is_in_place


class RunScreen(Viewing, LiveSteering):
    """One run, live."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.RUN)]
    # Textual declares both on the instance
    HORIZONTAL_BREAKPOINTS = [(0, "-thin"), (80, "-narrow"), (110, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-flat"), (23, "-low"), (34, "-high")]  # noqa: RUF012
    ALLOW_IN_MAXIMIZED_VIEW = "RunHeader, AlertStrip, KeyLine"
    AUTO_FOCUS = "NowPanel"
    CSS_PATH = "run.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._held: list[Mapping[str, Any]] = []
        self._fitted = False
        self._could: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        """The panels, and a line for terminals that are too small for them."""
        yield RunHeader(classes="part")
        yield PhaseLine(classes="part")
        with Horizontal(id="upper", classes="part"):
            yield StepsPanel()
            with Vertical(id="right"):
                yield NowPanel()
                with Container(id="tabs"):
                    yield WalPanel()
                    yield ApplicationPanel()
                    yield SwitchPanel()
                    yield DiffsPanel()
        yield LogPanel()
        yield AlertStrip(classes="part")
        yield KeyLine(classes="part")
        yield Value(id="too-small")

    def apply(self, snapshot: Snapshot) -> None:
        """Show a state of the run. A frozen view keeps what the panels show; header and alerts go on."""
        self.snapshot = snapshot
        self.query_one(RunHeader).apply(snapshot, frozen=self.frozen)
        self.query_one(AlertStrip).apply(snapshot)
        self._say_too_small(snapshot)
        self._enable()
        self._held += snapshot.events
        if not self.frozen:
            self._show(replace(snapshot, events=tuple(self._held)))
            self._held.clear()
        if not self._fitted:  # the first status may come before the first layout
            self._fitted = True
            afterwards(self, self.fit)

    def refreeze(self) -> None:
        """Frozen: only the header says so. Free again: show what has come meanwhile."""
        if self.snapshot is not None:
            self.apply(replace(self.snapshot, events=()))

    def on_resize(self, event: events.Resize) -> None:
        """Fit what is shown into the new size."""
        afterwards(self, self.fit)

    def fit(self) -> None:
        """Show the newest state in the sizes there are now."""
        if self.maximized is not None and (self.has_class("-thin") or self.has_class("-tiny")):
            self.minimize()
        self.name_tabs()
        if self.snapshot is not None:
            self.apply(replace(self.snapshot, events=()))

    def _show(self, snapshot: Snapshot) -> None:
        status = snapshot.status
        self.first_tab(status)
        self.tell_shortly(snapshot)
        self.query_one("#tabs").set_class(quiet(status), "-quiet")
        self.query_one(PhaseLine).apply(snapshot)
        for panel in self.query(Panel):
            panel.apply(snapshot)

    def _say_too_small(self, snapshot: Snapshot) -> None:
        text = _("Terminal too small (80x20 needed)")
        self.query_one("#too-small", Value).show(f"{text} · {state_text(snapshot, host(self).glyphs).plain}")

    def key_label(self, action: str) -> str:
        """What p does while the engine is paused, and c while a run only keeps its way back."""
        state = self.status.get("state")
        if action == "back" and is_in_place(self.status):
            return _("Go back")
        if action == "continue" and observed(self.status):
            return _("End watching") if is_in_place(self.status) else _("Clean up")
        return _("Resume") if action == "pause" and state in ("pausing", "paused") else ""

    def _enable(self) -> None:
        could = (
            *(why_not(action, self.status) for action in DEPENDING),
            *map(self.key_label, ("continue", "pause", "back")),
        )
        if could != self._could:
            self._could = could
            self.refresh_bindings()

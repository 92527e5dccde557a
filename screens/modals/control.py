"""Control of a run: who holds it, and asking for it, taking it, handing it over."""

from __future__ import annotations

from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Button

from screens.host import host
from screens.modals.base import Dialog, Lines, title
from screens.modals.confirm import ConfirmPlain
from screens.widgets.afterwards import afterwards
from screens.widgets.choices import Choices
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.render.control import control_lines


class ControlHeld(Dialog[bool]):
    """Somebody else steers: whether to take control from them."""

    AUTO_FOCUS = "#cancel"

    def __init__(self, error: StepFlowError) -> None:
        super().__init__()
        self.error = error

    def compose(self) -> ComposeResult:
        """Who has it."""
        lines = [known(self.error.message), _("Taking control is recorded; the other person is told.")]
        with Vertical(classes="box"):
            yield title(_("Somebody else steers this run"))
            yield Lines(lines)
            yield Choices([("cancel", _("Cancel")), ("take", _("Take control and go on"))])

    @on(Button.Pressed)
    def _answered(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "take")


class ControlDialog(Dialog[None]):
    """Who steers, and what can be done about it from here."""

    AUTO_FOCUS = "#cancel"

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._control: dict[str, Any] = dict(snapshot.status.get("control") or {})

    def compose(self) -> ComposeResult:
        """The facts, and what fits them."""
        with Vertical(classes="box"):
            yield title(_("Who steers this run"))
            yield Lines(control_lines(self._control, me=self._me))
            yield Choices(self._choices(), column=True)

    def apply(self, snapshot: Snapshot) -> None:
        """Tell what changed; the choices stay as long as the holder does, so that Enter does what is read."""
        control = dict(snapshot.status.get("control") or {})
        before, self._control = self._control, control
        if control == before:
            return
        self.query_one(Lines).show(control_lines(control, me=self._me))
        if any(control.get(key) != before.get(key) for key in ("holder", "asked_by")):
            self.refresh(recompose=True)
            afterwards(self, lambda: self.query_one("#cancel").focus())

    @property
    def _me(self) -> str:
        bridge = host(self).bridge
        return bridge.who if bridge is not None else ""

    def _choices(self) -> list[tuple[str, str]]:
        holder, asked = self._control.get("holder"), self._control.get("asked_by")
        found = [("cancel", _("Close"))]
        if host(self).options.read_only:
            return found
        if holder is None:
            return [*found, ("hold", _("Take control"))]
        if holder != self._me:
            return [*found, ("ask", _("Ask for control")), ("take", _("Take control"))]
        if asked:
            found.append(("give", _("Hand it over to {who}").format(who=asked)))
        return [*found, ("release", _("Release it"))]

    @on(Button.Pressed, "#cancel")
    def _close(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#hold")
    @on(Button.Pressed, "#ask")
    @on(Button.Pressed, "#release")
    def _plainly(self, event: Button.Pressed) -> None:
        host(self).act(str(event.button.id))
        self.dismiss(None)

    @on(Button.Pressed, "#give")
    def _give(self) -> None:
        host(self).act("give", {"to": self._control["asked_by"]})
        self.dismiss(None)

    @on(Button.Pressed, "#take")
    def _take(self) -> None:
        holder = str(self._control.get("holder"))
        lines = [
            _("{who} steers this run.").format(who=holder),
            _("Taking control is recorded; the other person is told."),
        ]
        self.app.push_screen(ConfirmPlain(_("Take control?"), lines, _("Take control")), self._taken)

    def _taken(self, yes: bool | None) -> None:
        if yes:
            host(self).act("hold", take_control=True)
            self.dismiss(None)

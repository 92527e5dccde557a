"""The quit menu: detach, pause and detach, or abort."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Button

from screens.host import host
from screens.modals.base import Dialog, Lines, title
from screens.modals.confirm import ConfirmTyped
from screens.widgets.choices import Choices
from stepflow_tui.engine.texts.language import _

PAUSABLE = ("running", "pausing", "paused", "waiting")


class QuitMenu(Dialog[None]):
    """What is to become of the run. The safe answer comes first: leave, and let it go on."""

    AUTO_FOCUS = "#detach"

    def compose(self) -> ComposeResult:
        """The choices that this run and this session have."""
        with Vertical(classes="box"):
            yield title(_("Leave this screen?"))
            yield Lines([self._what_goes_on()])
            yield Choices(self._choices(), column=True)

    def _choices(self) -> list[tuple[str, str]]:
        found = [("detach", _("Detach: leave, the run goes on") if self._works() else _("Leave"))]
        if self._steers() and self._state() in PAUSABLE:
            found.append(("pause", _("Pause and detach: the engine waits at the next chunk")))
            found.append(("abort", _("Abort: end the run; what it made stays until it is rolled back")))
        return [*found, ("stay", _("Stay"))]

    def _what_goes_on(self) -> str:
        if self._works():
            return _("The run has an engine of its own; leaving the screen does not end it.")
        return _("No engine works on this run just now; leaving the screen changes nothing.")

    def _works(self) -> bool:
        snapshot = host(self).snapshot
        return snapshot is not None and bool((snapshot.status.get("engine") or {}).get("alive"))

    def _steers(self) -> bool:
        return not host(self).options.read_only and host(self).snapshot is not None

    def _state(self) -> str:
        snapshot = host(self).snapshot
        return str(snapshot.status.get("state")) if snapshot is not None else ""

    @on(Button.Pressed, "#detach")
    def _leave_it(self) -> None:
        host(self).leave()

    @on(Button.Pressed, "#pause")
    def _pause(self) -> None:
        if self._state() in ("pausing", "paused"):
            host(self).leave()
            return
        host(self).act("pause", then=lambda _answer: host(self).leave())

    @on(Button.Pressed, "#abort")
    def _abort(self) -> None:
        snapshot = host(self).snapshot
        if snapshot is None:
            return
        name = str(snapshot.status["name"])
        lines = [_("The run ends for good; what it made in the target stays until it is rolled back.")]
        self.app.push_screen(ConfirmTyped(_("Abort {run}?").format(run=snapshot.run), lines, name), self._typed)

    def _typed(self, name: str | None) -> None:
        if name is not None:
            host(self).act("abort", {"confirm": name}, then=lambda _answer: host(self).leave())

    @on(Button.Pressed, "#stay")
    def _stay(self) -> None:
        self.dismiss(None)

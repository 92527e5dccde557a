"""The alerts of a run: listed, explained, acknowledged with a note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from screens.host import host
from screens.modals.base import Dialog, Lines, title
from screens.modals.note import AskNote
from screens.widgets.choices import Choices
from screens.widgets.folded import Folded
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.alerts import alert_advice, alert_facts, alert_line

Alert = Mapping[str, Any]


class AlertsDialog(Dialog[None]):
    """The open alerts, newest first; Enter explains one, `k` acknowledges it."""

    ARMED = False
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("k", "acknowledge", show=False)]
    DEFAULT_CSS = """
    AlertsDialog OptionList {
        height: auto;
        max-height: 60vh;
    }
    """

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._alerts: Sequence[Alert] = _alerts(snapshot)

    def compose(self) -> ComposeResult:
        """The list."""
        with Vertical(classes="box"):
            yield title(_("Alerts"))
            yield OptionList(*self._options(), compact=True)
            yield Folded(markup=False, id="hint")

    def on_mount(self) -> None:
        """Say what can be done."""
        self._say()

    def apply(self, snapshot: Snapshot) -> None:
        """Show the alerts of a newer state; the one that is selected stays selected."""
        alerts = _alerts(snapshot)
        if alerts == self._alerts:
            return
        chosen = self._chosen()
        self._alerts = alerts
        choices = self.query_one(OptionList)
        choices.clear_options()
        choices.add_options(self._options())
        at = next((n for n, a in enumerate(alerts) if chosen and _same(a, chosen)), 0)
        choices.highlighted = at if alerts else None
        self._say()

    def action_acknowledge(self) -> None:
        """Ask for a note, then acknowledge."""
        alert = self._chosen()
        if alert is not None:
            acknowledge(self, alert)

    @on(OptionList.OptionSelected)
    def _opened(self) -> None:
        alert = self._chosen()
        if alert is not None:
            self.app.push_screen(AlertDetail(alert))

    def _options(self) -> list[Option]:
        return [Option(Content.from_rich_text(Text(alert_line(a)))) for a in self._alerts]

    def _chosen(self) -> Alert | None:
        at = self.query_one(OptionList).highlighted
        return self._alerts[at] if at is not None and at < len(self._alerts) else None

    def _say(self) -> None:
        hint = _("Enter details   k acknowledge   Esc close") if self._alerts else _("No alerts are open.   Esc close")
        self.query_one("#hint", Static).update(hint)


class AlertDetail(Dialog[None]):
    """One alert: what it says, its facts, what to do."""

    AUTO_FOCUS = "#cancel"

    def __init__(self, alert: Alert) -> None:
        super().__init__()
        self.alert = alert

    def compose(self) -> ComposeResult:
        """Everything known about it."""
        lines = list(alert_facts(self.alert))
        advice = alert_advice(self.alert)
        if advice:
            lines += ["", _("What to do: {text}").format(text=advice)]
        with Vertical(classes="box"):
            yield title(alert_line(self.alert))
            yield Lines(lines)
            known = [] if self.alert["acknowledged"] else [("acknowledge", _("Acknowledge"))]
            yield Choices([("cancel", _("Close")), *known])

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "acknowledge":
            acknowledge(self, self.alert, then_close=True)
        else:
            self.dismiss(None)


def acknowledge(dialog: Dialog[None], alert: Alert, *, then_close: bool = False) -> None:
    """Ask for the note and send it."""

    def noted(note: str | None) -> None:
        if not note:
            return
        host(dialog).act("ack", {"code": alert["code"], "note": note})
        if then_close:
            dialog.dismiss(None)

    dialog.app.push_screen(AskNote(_("Acknowledge this alert?"), [alert_line(alert)], _("Acknowledge")), noted)


def _alerts(snapshot: Snapshot) -> Sequence[Alert]:
    return list(reversed(snapshot.status.get("alerts") or ()))


def _same(one: Alert, other: Alert) -> bool:
    return all(one[key] == other[key] for key in ("code", "since"))

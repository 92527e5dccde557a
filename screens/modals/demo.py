"""The demo: which of the migrations that this version can do it is to show."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Button

from screens.modals.base import Dialog, Lines, title
from screens.widgets.choices import Choices
from stepflow_tui.engine.texts.advice import BUILT, KINDS
from stepflow_tui.engine.texts.language import _


class DemoDialog(Dialog[str]):
    """The kind whose demo is to be seen, or None."""

    AUTO_FOCUS = f"#{BUILT[0]}"

    def compose(self) -> ComposeResult:
        """What each kind does, and the kinds."""
        told = [_("A sample shop is made and opened; it works on while its database is migrated."), ""]
        for kind in BUILT:
            told += [kind, f"  {_(KINDS[kind])}"]
        with Vertical(classes="box"):
            yield title(_("Which demo?"))
            yield Lines(told)
            yield Choices([*((kind, kind) for kind in BUILT), ("cancel", _("Cancel"))])

    @on(Button.Pressed)
    def _chosen(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id if event.button.id in BUILT else None)

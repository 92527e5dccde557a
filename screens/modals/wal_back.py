"""Going back from WAL: to the old journal mode, which loses nothing, or to the tested backup."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Button

from screens.modals.base import Dialog, Lines, title
from screens.widgets.choices import Choices
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.in_place import back_lines, backup_made, restore_label

MODE, RESTORE = "mode", "restore"


class WalBack(Dialog[str]):
    """Which way back. The answer is `mode`, `restore`, or None; the same key again is `mode`."""

    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("B", "again", show=False, id="back")]

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._run, self._status = snapshot.run, snapshot.status

    def compose(self) -> ComposeResult:
        """What each way means, and the ways."""
        ways = [("cancel", _("Cancel")), (MODE, _("Back to the old journal mode"))]
        if backup_made(self._status):
            ways.append((RESTORE, f"{restore_label(self._status)}…"))
        with Vertical(classes="box"):
            yield title(_("Go back? {run}").format(run=clean_line(self._run)))
            yield Lines(list(back_lines(self._status)))
            yield Choices(ways, column=True)

    def action_again(self) -> None:
        """The same key once more."""
        self.dismiss(MODE)

    @on(Button.Pressed)
    def _answered(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id if event.button.id in (MODE, RESTORE) else None)

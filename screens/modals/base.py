"""What every dialog has in common: Escape closes it with no answer, and keys pressed before it was drawn do not count."""

from __future__ import annotations

from typing import ClassVar, TypeVar, cast

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from screens.typeahead import TypeAheadGuard
from stepflow_tui.engine.texts.language import _

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """A dialog. Its controls answer only after the terminal has drawn them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", _("Close"), show=False)]
    ARMED: ClassVar[bool] = True
    """False for dialogs that only show something: keys need not wait."""

    DEFAULT_CSS = """
    Dialog {
        align: center middle;
    }
    Dialog > .box {
        width: 76;
        max-width: 96%;
        height: auto;
        max-height: 96%;
        padding: 0 1;
        border: round $accent;
        background: $surface;
    }
    .-ascii Dialog > .box {
        border: ascii $accent;
    }
    """

    def on_mount(self) -> None:
        """Drop what was typed ahead."""
        if self.ARMED and isinstance(self.app, TypeAheadGuard):
            self.app.deafen()

    def on_unmount(self) -> None:
        """Hear again."""
        if self.ARMED:
            cast(TypeAheadGuard, self.app).undeafen()

    def action_cancel(self) -> None:
        """No answer."""
        self.dismiss(None)

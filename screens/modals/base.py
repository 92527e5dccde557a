"""What every dialog has in common: Escape closes it with no answer, and keys pressed before it was drawn do not count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from screens.typeahead import Guarded, TypeAheadGuard
from screens.widgets.folded import Folded
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.clean import clean

T = TypeVar("T")


class Dialog(Guarded, ModalScreen[T]):
    """A dialog. Its controls answer only after the terminal has drawn them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", _("Close"), show=False)]
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
    Dialog .title {
        text-style: bold;
        height: auto;
    }
    Dialog .lines {
        height: auto;
        max-height: 60vh;
    }
    Dialog Input, Dialog Input:focus {
        margin-top: 1;
        border: none;
        height: 1;
        padding: 0 1;
        background: $boost;
        text-style: underline;
    }
    .-ascii Dialog > .box {
        border: ascii $accent;
    }
    """

    def on_screen_resume(self) -> None:
        """It opens, or what lay on it is gone: drop what was typed ahead."""
        if self.ARMED and isinstance(self.app, TypeAheadGuard):
            self.app.deafen(self)

    def action_cancel(self) -> None:
        """No answer."""
        self.dismiss(None)


def title(text: str) -> Static:
    """A dialog's heading."""
    return Folded(Text(clean(text)), classes="title", markup=False)


class Lines(VerticalScroll, can_focus=False):
    """What a dialog says, scrolled with the wheel or page keys of the dialog when it is too long."""

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__(Folded(Text("\n".join(map(clean, lines))), markup=False), classes="lines")

    def show(self, lines: Iterable[str]) -> None:
        """Say something else."""
        self.query_one(Static).update(Text("\n".join(map(clean, lines))))

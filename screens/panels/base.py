"""A panel of the run screen: a framed part of it with a number, a help text, and `apply`."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.containers import Vertical

from screens.widgets.folded import Folded
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _


class Panel(Vertical, can_focus=True):
    """One framed panel.

    Subclasses name `NUMBER`, `NAME` and `HELP` (both N_-marked English) and show snapshots in `apply`.
    """

    NUMBER: ClassVar[int]
    NAME: ClassVar[str]
    HELP: ClassVar[str] = N_("This panel shows a part of the run.")

    DEFAULT_CSS = """
    Panel {
        border: round $panel-lighten-2;
        height: 1fr;
        padding: 0 1;
    }
    Panel:focus, Panel:focus-within {
        border: round $accent;
    }
    .-ascii Panel {
        border: ascii $panel-lighten-2;
    }
    """

    def on_mount(self) -> None:
        """Name the panel."""
        self.border_title = f"{self.NUMBER} {_(self.NAME)}"

    def apply(self, snapshot: Snapshot) -> None:
        """Show the part of the snapshot this panel is about; draw only what changed."""
        raise NotImplementedError

    def copy_text(self) -> str:
        """What `y` copies: the panel as plain text."""
        return ""


class Value(Folded):
    """A line or block of text that is drawn again only when it changes. Values are data: never markup."""

    def __init__(self, text: str | Text = "", **more: Any) -> None:
        super().__init__(text, markup=False, **more)
        self._shown: str | Text = text

    @property
    def shown(self) -> str | Text:
        """What is shown."""
        return self._shown

    def show(self, text: str | Text) -> None:
        """Show this text. The layout is looked at again only where the height follows the text."""
        old = self._shown
        if text != old or (isinstance(text, Text) and isinstance(old, Text) and text.style != old.style):
            self._shown = text
            self.update(text, layout=self.styles.is_auto_height)

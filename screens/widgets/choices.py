"""Buttons of a dialog, side by side or one below the other; arrow keys go from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Button


class Choices(Container):
    """A row of buttons (`Choices([("cancel", "Cancel"), …])`), or a column with `-column`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", show=False),
        Binding("right", "step(1)", show=False),
        Binding("up", "along(-1)", show=False),
        Binding("down", "along(1)", show=False),
    ]
    DEFAULT_CSS = """
    Choices {
        layout: horizontal;
        height: 1;
        margin-top: 1;
    }
    Choices.-column {
        layout: vertical;
        height: auto;
    }
    Choices Button {
        margin-right: 2;
        min-width: 10;
    }
    Choices.-column Button {
        width: 100%;
        content-align: left middle;
        text-align: left;
    }
    """

    def __init__(self, choices: Sequence[tuple[str, str]], *, column: bool = False, name: str | None = None) -> None:
        super().__init__(classes="-column" if column else None, id=name)
        self._choices = choices

    def compose(self) -> ComposeResult:
        """One button per choice, its id the choice's."""
        for name, label in self._choices:
            yield Button(Content(label), id=name, compact=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Up and down belong to a column; beside a row they move what the dialog says."""
        return self.has_class("-column") if action == "along" else True

    def action_along(self, by: int) -> None:
        """The same in a column."""
        self.action_step(by)

    def action_step(self, by: int) -> None:
        """Go to the next button that answers, round and round."""
        buttons = [b for b in self.query(Button) if not b.disabled]
        at = next((n for n, b in enumerate(buttons) if b.has_focus), 0)
        buttons[(at + by) % len(buttons)].focus()

"""One value out of a few on one line: left, right and space go through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Static

from screens.host import host


class Cycle(Static, can_focus=True):
    """A choice (`Cycle([("detailed", "detailed"), …], "detailed")`): values and the words for them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", show=False),
        Binding("right,space", "step(1)", show=False),
        Binding("enter", "submit", show=False),
    ]
    DEFAULT_CSS = """
    Cycle {
        width: auto;
        height: 1;
        padding: 0 1;
    }
    Cycle:focus {
        background: $accent;
        color: $text;
        text-style: bold;
    }
    """

    class Changed(Message):
        """Another value was chosen."""

        def __init__(self, cycle: Cycle) -> None:
            super().__init__()
            self.cycle = cycle

        @property
        def control(self) -> Cycle:
            """The widget, for `@on` selectors."""
            return self.cycle

    class Submitted(Message):
        """Enter was pressed."""

    def __init__(self, choices: Sequence[tuple[str, str]], value: str, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, markup=False)
        self._choices = list(choices)
        self._at = next((n for n, (name, _) in enumerate(self._choices) if name == value), 0)

    @property
    def value(self) -> str:
        """The chosen value."""
        return self._choices[self._at][0]

    def on_mount(self) -> None:
        """Draw it."""
        self._draw()

    def _draw(self) -> None:
        left, right = "<>" if host(self).options.ascii else "‹›"
        self.update(Text(f"{left} {self._choices[self._at][1]} {right}"))

    def action_step(self, by: int) -> None:
        """The next or the previous one, round and round."""
        self._at = (self._at + by) % len(self._choices)
        self._draw()
        self.post_message(self.Changed(self))

    def action_submit(self) -> None:
        """Enter."""
        self.post_message(self.Submitted())

    def on_click(self) -> None:
        """The next one."""
        self.action_step(1)

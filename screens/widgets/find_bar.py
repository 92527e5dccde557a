"""The line where a filter or a text to look for is typed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

LONGEST = 200


class FindBar(Input):
    """Hidden until it is opened. Enter keeps what was typed, Escape forgets it; both hide it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "forget", show=False)]
    DEFAULT_CSS = """
    FindBar {
        display: none;
        height: 1;
        border: none;
        padding: 0;
        background: $boost;
    }
    FindBar.-open {
        display: block;
    }
    """

    class Typed(Message):
        """What is looked for; `done` when the line is hidden again."""

        def __init__(self, text: str, *, done: bool) -> None:
            super().__init__()
            self.text = text
            self.done = done

    def __init__(self, placeholder: str) -> None:
        super().__init__(placeholder=placeholder, compact=True, max_length=LONGEST)
        self.cursor_blink = False

    def open(self) -> None:
        """Show it and type there."""
        self.add_class("-open")
        self.focus()

    def action_forget(self) -> None:
        """Look for nothing any more."""
        with self.prevent(Input.Changed):
            self.value = ""
        self._close()

    async def action_submit(self) -> None:
        """Keep what was typed."""
        self._close()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Every letter counts at once."""
        event.stop()
        self.post_message(self.Typed(self.value, done=False))

    def _close(self) -> None:
        self.remove_class("-open")
        self.post_message(self.Typed(self.value, done=True))

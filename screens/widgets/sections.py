"""The names of a screen's sections on one line, the open one marked; what has no room is announced by an arrow."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import Static


class Sections(Static):
    """`Sections(["Steps", "Types"])`; `choose(1)` opens the second."""

    class Chosen(Message):
        """A name was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    DEFAULT_CSS = """
    Sections {
        height: 1;
        padding: 0 1;
        background: $boost;
    }
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(markup=False)
        self._names = names
        self._open = 0
        self._spans: list[tuple[int, int, int]] = []  # index, first cell, cell behind the last

    def choose(self, index: int) -> None:
        """Mark this section as the open one."""
        self._open = index
        self._draw()

    def on_resize(self) -> None:
        """Show as many names as there is room for now."""
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Open what was clicked."""
        x = event.x - self.gutter.left
        for index, first, behind in self._spans:
            if first <= x < behind:
                self.post_message(self.Chosen(index))

    def _draw(self) -> None:
        shown = _window([cell_len(n) + 2 for n in self._names], self._open, self.content_size.width - 4)
        text, self._spans = Text("« " if shown.start > 0 else "", no_wrap=True, end=""), []
        for index in shown:
            at = cell_len(text.plain)
            label = f"[{self._names[index]}]" if index == self._open else f" {self._names[index]} "
            self._spans.append((index, at, at + cell_len(label)))
            text.append(label, "bold reverse" if index == self._open else "")
        if shown.stop < len(self._names):
            text.append(" »")
        self.update(text)


def _window(widths: Sequence[int], wanted: int, room: int) -> range:
    """The names around the wanted one that fit, grown to the left first."""
    first = last = wanted
    used = widths[wanted]
    while True:
        if first > 0 and used + widths[first - 1] <= room:
            first -= 1
            used += widths[first]
        elif last + 1 < len(widths) and used + widths[last + 1] <= room:
            last += 1
            used += widths[last]
        else:
            return range(first, last + 1)

"""A list of lines to pick from, by arrow keys or j and k; lines are data, never markup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One entry. `id` names it; a line without one is a heading that can't be chosen, nor can one that is `off`."""

    text: Text
    id: str | None = None
    off: bool = False


class PickList(OptionList):
    """A list that draws only lines that changed and keeps its place by the entry's id."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        Binding("g", "first", show=False),
        Binding("G", "last", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, markup=False, compact=True)
        self._shown_lines: list[Line] = []

    @property
    def current(self) -> str | None:
        """The id of the entry the cursor is on."""
        return None if self.highlighted is None else self.get_option_at_index(self.highlighted).id

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines; the cursor stays on its entry where that is still there."""
        new = list(lines)
        if [(x.id, x.off) for x in new] == [(x.id, x.off) for x in self._shown_lines]:
            for index, (line, old) in enumerate(zip(new, self._shown_lines, strict=True)):
                if line.text != old.text or line.text.spans != old.text.spans:
                    self.replace_option_prompt_at_index(index, line.text)
            self._shown_lines = new
            return
        before = self.current
        self._shown_lines = new
        self.clear_options()
        self.add_options([Option(x.text, id=x.id, disabled=x.off or x.id is None) for x in new])
        self.go_to(before)

    def go_to(self, wanted: str | None) -> None:
        """Put the cursor on an entry, else on the first one that can be chosen."""
        free = [n for n, x in enumerate(self._shown_lines) if x.id is not None and not x.off]
        there = next((n for n in free if self._shown_lines[n].id == wanted), None)
        self.highlighted = there if there is not None else next(iter(free), None)
        if self.highlighted is not None and self.highlighted == next(iter(free), None):
            self.scroll_home(animate=False)  # the heading above it too
